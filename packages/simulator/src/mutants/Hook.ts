/**
 * For `node --import` of a thread: loads one source file with a patch applied, whichever module imports it. The
 * `workerData` of the thread names the file. The whole system then runs without a rule, and nothing is written to the disk.
 */
import { registerHooks } from "node:module"
import { workerData } from "node:worker_threads"

/** The `workerData` of such a thread. */
export interface Patched {
  /** The URL of the source file. */
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
