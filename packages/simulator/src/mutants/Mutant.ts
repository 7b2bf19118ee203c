/**
 * Mutants: the sources with one rule removed, loaded beside the real ones, to show that a check fails without the rule.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { FaultName, RunOptions } from "../simulation/index.ts"
import type * as World from "../world/index.ts"

/** Removes a rule from one source file, which contains `find` exactly once. */
export interface Patch {
  readonly rule: string
  /** The folder of the package in `packages`. */
  readonly package: "domain" | "simulator" | "pipeline" | "gateway" | "client"
  /** Below the package's `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
  /** The kinds of faults, if the simulator needs several of a few kinds at the same time. Default: all. */
  readonly faults?: ReadonlyArray<FaultName>
  /** Whether all runs have tasks. Default: every second one. */
  readonly tasks?: boolean
  /**
   * How the world breaks without the rule, if random steps do not show it: while clients keep sending, or by a script
   * (`Delivery.scenarios.test.ts`), because it needs too many steps in a certain order.
   */
  readonly world?: "under traffic" | "by script"
}

/** The runs of the simulator that are to find what breaks: smaller ones, where all of them have tasks. */
export const optionsOf = ({ faults, tasks }: Patch): Omit<RunOptions, "seed"> =>
  tasks === true ? { clients: 3, events: 30, faults, tasks } : { clients: 5, events: 60, faults, tasks }

/** A patch of a decision. */
export const domainPatch = (rule: string, file: string, find: string, replace = ""): Patch => ({
  package: "domain",
  rule,
  file,
  find,
  replace,
})

/** The module `world`, as it is or with a rule removed from the code that it runs. */
export type WorldModule = typeof World

const simulator = join(import.meta.dirname, "..", "..")
const packages = join(simulator, "..")

/** Loads the world with the patch applied, on its own copy of the domain. */
export const load = (patch: Patch): Promise<WorldModule> =>
  inScratch(async (scratch) => {
    await copyPackage("domain", scratch)
    await copyPackage("simulator", scratch)
    await applyPatch(patch, scratch)
    // The checks of the world must find the fault without the assertions of production.
    await writeFile(join(scratch, "domain/src/protocol/internal/Invariant.ts"), "export const invariant = () => {}")
    await mkdir(join(scratch, "node_modules/@nimbus"), { recursive: true })
    await symlink(join(scratch, "domain"), join(scratch, "node_modules/@nimbus/domain"))
    return import(pathToFileURL(join(scratch, "simulator/src/world/index.ts")).href)
  })

/** Loads a whole package with the patch applied. The packages that it imports are unchanged. */
export const loadPackage = <M>(patch: Patch): Promise<M> =>
  inScratch(async (scratch) => {
    await copyPackage(patch.package, scratch)
    await applyPatch(patch, scratch)
    // It then finds the dependencies of the package.
    await symlink(join(packages, patch.package, "node_modules"), join(scratch, "node_modules"))
    return import(pathToFileURL(join(scratch, patch.package, "src/index.ts")).href)
  })

/** The folder is removed as soon as its modules are loaded. */
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
