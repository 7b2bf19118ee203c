/**
 * Mutants: the sources with one rule taken out, loaded beside the real ones, to show that something fails without it.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { World } from "@nimbus/domain/testing"
import type { FaultName } from "@nimbus/domain/testing/simulation"

/** Takes a rule out of one source file, where `find` stands exactly once. */
export interface Patch {
  readonly rule: string
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

/** The world of `testing/world`, as it is or with a rule taken out of what it is made of. */
export type WorldModule = typeof World

const packages = join(import.meta.dirname, "..", "..")

/** Loads the world with the patch applied. */
export const load = (patch: Patch): Promise<WorldModule> =>
  withCopy("domain", patch, (copy) => import(pathToFileURL(join(copy, "testing/world/index.ts")).href))

/** Loads a whole package with the patch applied; what it imports of others is as it is. */
export const loadPackage = <M>(name: string, patch: Patch): Promise<M> =>
  withCopy(name, patch, (copy) => import(pathToFileURL(join(copy, "index.ts")).href))

/** The copy is gone from the disk once it is loaded. */
const withCopy = async <A>(
  name: string,
  { file, find, replace, rule }: Patch,
  load: (copy: string) => Promise<A>,
): Promise<A> => {
  const src = join(packages, name, "src")
  const copy = await mkdtemp(join(packages, name, ".mutant-"))
  try {
    await cp(src, copy, { recursive: true, filter: (path) => !path.endsWith(".test.ts") })
    const source = await readFile(join(src, file), "utf8")
    const parts = source.split(find)
    if (parts.length !== 2) throw new Error(`${rule}: found ${parts.length - 1} times in ${file}: ${find}`)
    await writeFile(join(copy, file), parts.join(replace))
    // What looks on from outside has to see it on its own.
    if (name === "domain")
      await writeFile(join(copy, "protocol/internal/Invariant.ts"), "export const invariant = () => {}")
    return await load(copy)
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}
