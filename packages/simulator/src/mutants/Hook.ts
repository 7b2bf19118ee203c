/**
 * For `node --import` of a thread: it loads one source file with a patch applied, whoever imports it. Which one its
 * `workerData` says. So the whole system runs with a rule taken out of it, and nothing is written to the disk.
 */
import { registerHooks } from "node:module"
import { workerData } from "node:worker_threads"

/** What a thread's `workerData` has to be. */
export interface Patched {
  /** Of the source file. */
  readonly url: string
  readonly find: string
  readonly replace: string
}

const { find, replace, url: patched }: Patched = workerData

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (url !== patched) return loaded
    const parts = String(loaded.source).split(find)
    if (parts.length !== 2) throw new Error(`found ${parts.length - 1} times in ${url}: ${find}`)
    return { ...loaded, source: parts.join(replace) }
  },
})
