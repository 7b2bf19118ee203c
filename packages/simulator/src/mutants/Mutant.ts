/**
 * Mutants: the sources with one rule taken out, loaded beside the real ones, to show that something fails without it.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { FaultName } from "../simulation/index.ts"
import type * as World from "../world/index.ts"

/** Takes a rule out of one source file, where `find` stands exactly once. */
export interface Patch {
  readonly rule: string
  /** The folder of the package in `packages`. */
  readonly package: "domain" | "simulator" | "pipeline" | "gateway" | "client"
  /** Below the package's `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Where it takes the simulator several of few kinds of faults at once: those. Default: all. */
  readonly faults?: ReadonlyArray<FaultName>
  /**
   * How the world breaks without it, where that is not by chance: while clients go on sending, or by a script
   * (`Delivery.scenarios.test.ts`), for it takes too many things one after another.
   */
  readonly world?: "under traffic" | "by script"
}

/** The world of `world`, as it is or with a rule taken out of what it is made of. */
export type WorldModule = typeof World

const simulator = join(import.meta.dirname, "..", "..")
const packages = join(simulator, "..")

/** Loads the world with the patch applied, on a domain of its own. */
export const load = (patch: Patch): Promise<WorldModule> =>
  inScratch(async (scratch) => {
    await copyPackage("domain", scratch)
    await copyPackage("simulator", scratch)
    await applyPatch(patch, scratch)
    // What looks on from outside has to see it on its own.
    await writeFile(join(scratch, "domain/src/protocol/internal/Invariant.ts"), "export const invariant = () => {}")
    await mkdir(join(scratch, "node_modules/@nimbus"), { recursive: true })
    await symlink(join(scratch, "domain"), join(scratch, "node_modules/@nimbus/domain"))
    return import(pathToFileURL(join(scratch, "simulator/src/world/index.ts")).href)
  })

/** Loads a whole package with the patch applied; what it imports of others is as it is. */
export const loadPackage = <M>(patch: Patch): Promise<M> =>
  inScratch(async (scratch) => {
    await copyPackage(patch.package, scratch)
    await applyPatch(patch, scratch)
    // So that it finds what the package has installed.
    await symlink(join(packages, patch.package, "node_modules"), join(scratch, "node_modules"))
    return import(pathToFileURL(join(scratch, patch.package, "src/index.ts")).href)
  })

/** It is gone from the disk once what is in it is loaded. */
const inScratch = async <A>(use: (scratch: string) => Promise<A>): Promise<A> => {
  const scratch = await mkdtemp(join(simulator, ".mutant-"))
  try {
    return await use(scratch)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

const copyPackage = async (name: string, scratch: string): Promise<void> => {
  const [from, to] = [join(packages, name), join(scratch, name)]
  await cp(join(from, "package.json"), join(to, "package.json"))
  await cp(join(from, "src"), join(to, "src"), { recursive: true, filter: (path) => !path.endsWith(".test.ts") })
}

const applyPatch = async ({ file, find, package: name, replace, rule }: Patch, scratch: string): Promise<void> => {
  const path = join(scratch, name, "src", file)
  const parts = (await readFile(path, "utf8")).split(find)
  if (parts.length !== 2) throw new Error(`${rule}: found ${parts.length - 1} times in ${file}: ${find}`)
  await writeFile(path, parts.join(replace))
}
