/**
 * Lua that Redis runs as one step. It is called by its hash; a Redis that does not know it, because it was restarted or
 * has another node's slot now, is told the source, and knows it from then on.
 *
 * Calls are sent without waiting for each other's replies. One that has to be told the source runs after those that
 * were sent in the meantime: a caller that needs an order waits.
 */
import { createHash } from "node:crypto"

export interface Script {
  readonly source: string
  readonly sha: string
}

/** `flags` as Redis 7 has them: `no-writes` for one that only reads, `allow-oom` for one that makes room. */
export const script = (lua: string, flags: ReadonlyArray<"no-writes" | "allow-oom"> = []): Script => {
  const source = `#!lua flags=${flags.join()}\n${lua}`
  return { source, sha: createHash("sha1").update(source).digest("hex") }
}

/** A word or number as Redis takes it, or bytes. */
export type Argument = string | number | Buffer

type Call = (command: string, args: Array<Argument>) => Promise<unknown>

export const evaluate = async (
  call: Call,
  { sha, source }: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<Argument>,
): Promise<unknown> => {
  try {
    return await call("evalsha", [sha, keys.length, ...keys, ...args])
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT "))) throw error
    return await call("eval", [source, keys.length, ...keys, ...args])
  }
}
