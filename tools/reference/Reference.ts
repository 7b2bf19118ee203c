/**
 * Reads the public names of the packages with their docstrings, from the sources: every export of every entrance.
 *
 * TypeDoc needs a TypeScript of its own, below 7, so this is a package of its own and nothing imports it. The types are
 * checked by the TypeScript of the workspace; here they are only read.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import {
  Application,
  Comment,
  DeclarationReflection,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
  ReferenceReflection,
  type TypeDocOptions,
} from "typedoc"

const root = join(import.meta.dirname, "../..")
const packages = ["domain", "client", "nimbus", "gateway", "pipeline", "adapters"]

/** What others import, and the file that it is. */
export interface Entrance {
  readonly name: string
  readonly path: string
}

/** What is for tests of Nimbus itself, or generated, has no page. */
const isLeftOut = (subpath: string, path: string): boolean => subpath.startsWith("./testing/") || !path.endsWith(".ts")

const entrancesOf = (folder: string): ReadonlyArray<Entrance> => {
  const manifest = JSON.parse(readFileSync(join(root, "packages", folder, "package.json"), "utf8"))
  const exports: Readonly<Record<string, string>> = manifest.exports
  return Object.entries(exports)
    .filter(([subpath, path]) => !isLeftOut(subpath, path))
    .map(([subpath, path]) => ({ name: join(manifest.name, subpath), path: join(root, "packages", folder, path) }))
}

export const entrances: ReadonlyArray<Entrance> = packages.flatMap(entrancesOf)

const options: TypeDocOptions = {
  name: "Nimbus",
  readme: "none",
  tsconfig: join(import.meta.dirname, "tsconfig.json"),
  skipErrorChecking: true,
  excludeExternals: true,
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  sort: ["source-order"],
  validation: { notExported: false, invalidLink: false },
  logLevel: "Warn",
}

/** Reads all names of these entrances. Takes the processor for some 10 s. */
export const read = async (from = entrances): Promise<readonly [Application, ProjectReflection]> => {
  const app = await Application.bootstrap({ ...options, entryPoints: from.map(({ path }) => path) })
  const project = await app.convert()
  if (project === undefined) throw new Error("TypeDoc could not read the sources")
  nameEntrances(project, from)
  describeFiles(project)
  return [app, project]
}

const childrenOf = (reflection: Reflection): ReadonlyArray<DeclarationReflection> =>
  "children" in reflection && Array.isArray(reflection.children) ? reflection.children : []

/** TypeDoc names an entrance by its file; others import it by its name. */
const nameEntrances = (project: ProjectReflection, from: ReadonlyArray<Entrance>): void => {
  const byPath = new Map(from.map(({ name, path }) => [path, name]))
  for (const module of childrenOf(project)) module.name = byPath.get(fileOf(project, module) ?? "") ?? module.name
}

/** A file opens with what it is for: that describes the entrance, or the namespace, that it is. */
const describeFiles = (project: ProjectReflection): void => {
  for (const reflection of project.getReflectionsByKind(ReflectionKind.Module | ReflectionKind.Namespace)) {
    const file = fileOf(project, reflection)
    if (reflection.hasComment() || file === undefined) continue
    const text = headerOf(readFileSync(file, "utf8"))
    if (text !== undefined) reflection.comment = new Comment([{ kind: "text", text }])
  }
}

const fileOf = (project: ProjectReflection, reflection: Reflection): string | undefined =>
  project.getSymbolIdFromReflection(reflection)?.fileName

const headerOf = (source: string): string | undefined =>
  /^\/\*\*(.*?)\*\//s
    .exec(source)?.[1]
    ?.replaceAll(/^[ \t]*\* ?/gm, "")
    .trim()

/** The public names of an entrance that no declaration describes, as `Namespace.name`. A value and a type may share one name. */
export const undocumentedIn = (project: ProjectReflection, entrance: string): ReadonlyArray<string> => {
  const module = childrenOf(project).find(({ name }) => name === entrance)
  if (module === undefined) throw new Error(`there is no entrance ${entrance}`)
  return undocumented(module, "")
}

const undocumented = (parent: Reflection, prefix: string): ReadonlyArray<string> => {
  const documented = new Map<string, boolean>()
  for (const child of childrenOf(parent)) {
    documented.set(child.name, documented.get(child.name) === true || isDocumented(child))
  }
  return [
    ...[...documented].filter(([, isDocumented]) => !isDocumented).map(([name]) => `${prefix}${name}`),
    ...childrenOf(parent).flatMap((child) => {
      const target = targetOf(child)
      return target.kindOf(ReflectionKind.Namespace) ? undocumented(target, `${prefix}${child.name}.`) : []
    }),
  ]
}

const targetOf = (child: DeclarationReflection): Reflection =>
  child instanceof ReferenceReflection ? child.getTargetReflectionDeep() : child

const isDocumented = (child: DeclarationReflection): boolean => {
  const target = targetOf(child)
  if (target.hasComment()) return true
  return target instanceof DeclarationReflection && (target.signatures ?? []).some((one) => one.hasComment())
}
