/** Projects outside of the workspace, as users have them: empty but for what npm installs from the tarballs. */
import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"

export const root = join(import.meta.dirname, "../..")

/** As on a machine with Node and npm alone, whose registry and proxies stay what they are. */
const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"))
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(NIMBUS_|VITEST|NODE_ENV|NODE_OPTIONS)/.test(name)),
)

export const environment = (node: string, env: Readonly<Record<string, string>> = {}) => ({
  ...inherited,
  PATH: [dirname(node), ...path].join(delimiter),
  ...env,
})

interface RunOptions {
  readonly cwd: string
  readonly node?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command to its end, at most three minutes; returns what it printed on stdout, or fails with all of it. */
export const run = (
  { cwd, env, node = process.execPath }: RunOptions,
  command: string,
  ...args: ReadonlyArray<string>
): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = { cwd, env: environment(node, env), timeout: 180_000, maxBuffer: 64 * 1024 * 1024 }
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      reject(
        new Error(`${command} ${args.join(" ")}: ${error.message}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`),
      )
    })
  })

export interface Project {
  readonly directory: string
  write(file: string, text: string): void
  /** Installs packages beside those that are there. */
  install(...packages: ReadonlyArray<string>): Promise<unknown>
  /** The names of all packages that are installed, also of those that others brought. */
  installed(): ReadonlyArray<string>
  remove(): void
}

export const makeProject = (): Project => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-tarballs-"))
  const write = (file: string, text: string) => writeFileSync(join(directory, file), text)
  write("package.json", JSON.stringify({ private: true, type: "module" }))
  return {
    directory,
    write,
    install: (...packages) =>
      run({ cwd: directory }, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...packages),
    installed: () =>
      globSync(["node_modules/**/package.json"], { cwd: directory }).flatMap(
        (file) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(file)?.[1] ?? [],
      ),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

const fromHere = createRequire(import.meta.url)

const compilers = {
  "TypeScript 5.9": fromHere.resolve("typescript-5/bin/tsc"),
  "TypeScript 7": join(root, "node_modules/typescript/bin/tsc"),
}
type Compiler = keyof typeof compilers

/** How programs say that their imports are found, and what goes with it. */
const resolutions = {
  node16: { module: "node16", moduleResolution: "node16" },
  nodenext: { module: "nodenext", moduleResolution: "nodenext" },
  bundler: { module: "esnext", moduleResolution: "bundler" },
}
type Resolution = keyof typeof resolutions

export const resolutionNames = ["node16", "nodenext", "bundler"] as const satisfies ReadonlyArray<Resolution>

interface Compilation {
  readonly files: ReadonlyArray<string>
  readonly types: ReadonlyArray<string>
  readonly lib: ReadonlyArray<string>
}

/** Compiles files of a project, strictly, with the declarations of all that they import, by both compilers. */
export const compile = (project: Project, resolution: Resolution, compilation: Compilation): Promise<unknown> =>
  Promise.all([
    compileBy("TypeScript 5.9", project, resolution, compilation),
    compileBy("TypeScript 7", project, resolution, compilation),
  ])

const compileBy = (
  compiler: Compiler,
  { directory, write }: Project,
  resolution: Resolution,
  { files, lib, types }: Compilation,
): Promise<string> => {
  const config = `${compiler}-${resolution}.json`
  const strict = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false }
  const compilerOptions = { target: "es2024", lib, types, ...strict, ...resolutions[resolution], noEmit: true }
  write(config, JSON.stringify({ compilerOptions, files }))
  return run({ cwd: directory }, process.execPath, compilers[compiler], "-p", config)
}

/** The examples in the READMEs of packages, each as a file of the project. */
export const writeExamples = ({ write }: Project, ...folders: ReadonlyArray<string>): ReadonlyArray<string> =>
  folders.flatMap((folder) =>
    examplesOf(folder).map((code, i) => {
      const file = `${folder}-${i}.ts`
      write(file, code)
      return file
    }),
  )

export const examplesOf = (folder: string): ReadonlyArray<string> =>
  [...readFileSync(join(root, "packages", folder, "README.md"), "utf8").matchAll(/^```ts\n(.*?)^```/gms)].map(
    ([, code = ""]) => code,
  )

/** Every import that an installed package has. */
export const importsOf = ({ directory }: Project, name: string): ReadonlyArray<string> => {
  const manifest: unknown = JSON.parse(readFileSync(join(directory, "node_modules", name, "package.json"), "utf8"))
  if (typeof manifest !== "object" || manifest === null || !("exports" in manifest)) return []
  return Object.keys(Object(manifest.exports)).map((path) => name + path.slice(1))
}
