/**
 * Compiles the packages that others install, and packs each into a tarball in dist/tarballs.
 *
 * ```
 *   packages/x/src ──tsc──▶ dist/build/x/src ──▶ dist/packages/x ──npm pack──▶ dist/tarballs/nimbus-x-0.0.0.tgz
 *   package.json ───Manifest.ts─────────────────▶   package.json
 *   README, CHANGELOG, LICENSE ─────Links.ts────▶   and docs, ops and the starter, of the package with the command
 * ```
 *
 * All are compiled at once, as one program, so that each file is checked and written once.
 */
import { execFileSync } from "node:child_process"
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { withPending } from "./Changelog.ts"
import { withoutDeadLinks } from "./Links.ts"
import * as Manifest from "./Manifest.ts"

const root = join(import.meta.dirname, "../..")
const packages = join(root, "packages")
const dist = join(root, "dist")
const tarballs = join(dist, "tarballs")

/** By folder. What is not here is for the workspace alone. */
export const folders = ["domain", "client", "adapters", "gateway", "pipeline", "nimbus"]

/** Beside its sources: what the gateway serves to browsers, and what its clients in other languages are generated from. */
const alongside: Readonly<Record<string, ReadonlyArray<string>>> = { gateway: ["page/dist/site", "proto"] }

/**
 * The package with the command: its messages name pages of docs, which point to the dashboard and the alert rules, and it
 * copies the starter.
 */
const withCommand = "nimbus"
/** Not what a run in the workspace leaves behind. */
const isSource = (path: string): boolean => !/\/(node_modules|data)$/.test(path)
const isText = (path: string): boolean => !/\/images$|\.svg$/.test(path)

const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
  } catch (cause) {
    const printed = cause instanceof Error && "stdout" in cause ? String(cause.stdout) : ""
    throw new Error(`${command} ${args.join(" ")} failed\n${printed}`, { cause })
  }
}

const manifestOf = (folder: string) => Manifest.decode(readFileSync(join(packages, folder, "package.json"), "utf8"))

type Manifests = ReadonlyMap<string, Manifest.Manifest>

/** What is published is compiled, with all that it imports; and beside it what is loaded by its address alone. */
const compile = (manifests: Manifests): void => {
  const entries = [...manifests].flatMap(([folder, manifest]) =>
    [...Manifest.publishedExports(manifest).map(([, source]) => source), ...Object.values(manifest.bin ?? {})]
      .filter((source) => source.endsWith(".ts"))
      .map((source) => join(packages, folder, source)),
  )
  const tsconfig = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      incremental: false,
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      declaration: true,
      sourceMap: true,
      inlineSources: true,
      rootDir: packages,
      outDir: join(dist, "build"),
    },
    files: entries,
    include: folders.map((folder) => join(packages, folder, "src")),
    exclude: ["**/*.test.ts", "**/testing"].map((pattern) => join(packages, pattern)),
  }
  mkdirSync(dist, { recursive: true })
  writeFileSync(join(dist, "tsconfig.json"), JSON.stringify(tsconfig))
  run(root, process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", join(dist, "tsconfig.json"))
}

/** Lays down all that a tarball holds. */
const stage = (folder: string, manifest: Manifest.Manifest, versions: ReadonlyMap<string, string>): string => {
  const from = join(packages, folder)
  const to = join(dist, "packages", folder)
  cpSync(join(dist, "build", folder, "src"), join(to, "dist"), { recursive: true })
  for (const file of globSync("**/*.{js,d.ts}", { cwd: join(from, "src"), exclude: ["**/testing/**"] })) {
    cpSync(join(from, "src", file), join(to, "dist", file))
  }
  for (const path of alongside[folder] ?? []) {
    cpSync(join(from, path), join(to, path), { recursive: true, filter: (file) => basename(file) !== ".sources" })
  }
  cpSync(join(from, "README.md"), join(to, "README.md"))
  const changesets = globSync(".changeset/*.md", { cwd: root }).map((file) => readFileSync(join(root, file), "utf8"))
  const changelog = readFileSync(join(from, "CHANGELOG.md"), "utf8")
  writeFileSync(join(to, "CHANGELOG.md"), withPending(changelog, manifest, changesets.sort()))
  if (folder === withCommand) {
    cpSync(join(root, "docs"), join(to, "docs"), { recursive: true, filter: isText })
    cpSync(join(root, "ops"), join(to, "ops"), { recursive: true })
    cpSync(join(root, "examples/starter"), join(to, "starter"), { recursive: true, filter: isSource })
  }
  cpSync(join(root, "LICENSE"), join(to, "LICENSE"))
  for (const page of globSync("{*,docs/**/*}.md", { cwd: to }).map((path) => join(to, path))) {
    const isThere = (path: string) => existsSync(join(dirname(page), path))
    writeFileSync(page, withoutDeadLinks(readFileSync(page, "utf8"), isThere))
  }
  writeFileSync(join(to, "package.json"), `${JSON.stringify(Manifest.staged(manifest, versions), null, 2)}\n`)
  return to
}

/** Returns the paths of the tarballs. `versions`: by name, those that packages are packed as instead of their own. */
export const pack = (versions: ReadonlyMap<string, string> = new Map()): ReadonlyArray<string> => {
  const manifests = new Map(
    folders.map((folder) => {
      const manifest = manifestOf(folder)
      return [folder, { ...manifest, version: versions.get(manifest.name) ?? manifest.version }]
    }),
  )
  const packed = new Map([...manifests.values()].map(({ name, version }) => [name, version]))
  for (const folder of ["build", "packages", "tarballs"]) rmSync(join(dist, folder), { recursive: true, force: true })
  run(root, process.execPath, join(packages, "gateway/page/build.ts"))
  compile(manifests)
  mkdirSync(tarballs, { recursive: true })
  return [...manifests].map(([folder, manifest]) => {
    const staged = stage(folder, manifest, packed)
    const name = run(staged, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", tarballs).trim()
    const path = join(tarballs, basename(name))
    if (!existsSync(path)) throw new Error(`npm pack of ${manifest.name} wrote no ${path}`)
    return path
  })
}
