/**
 * Mutants: the sources with one rule taken out, loaded beside the real ones, to show that something fails without it.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { World } from "@nimbus/domain/testing"

/** Takes a rule out of one source file, where `find` stands exactly once. */
export interface Patch {
  readonly rule: string
  /** Below `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** The world of `testing/world`, as it is or with a rule taken out of what it is made of. */
export type WorldModule = typeof World

const src = join(import.meta.dirname, "..", "src")

/** Loads the world with the patch applied. The copy is gone from the disk once it is loaded. */
export const load = async ({ file, find, replace, rule }: Patch): Promise<WorldModule> => {
  const copy = await mkdtemp(join(import.meta.dirname, ".mutant-"))
  try {
    await cp(src, copy, { recursive: true, filter: (path) => !path.endsWith(".test.ts") })
    const source = await readFile(join(src, file), "utf8")
    const parts = source.split(find)
    if (parts.length !== 2) throw new Error(`${rule}: found ${parts.length - 1} times in ${file}: ${find}`)
    await writeFile(join(copy, file), parts.join(replace))
    const mutant: WorldModule = await import(pathToFileURL(join(copy, "testing/world/index.ts")).href)
    return mutant
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}
