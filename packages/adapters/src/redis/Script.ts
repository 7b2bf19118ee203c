/**
 * A Lua script, which Redis runs as one step, by `defineCommand` of ioredis: the first call on a connection sends the
 * source, and later ones its hash. If Redis does not have the script, because it was restarted or flushed, or because
 * the slot has moved to another node, ioredis sends it once more: as the source, or as the hash if another call's source
 * is on its way. Redis can forget that one too before the hash is there. Then the source goes with the call.
 *
 * Calls do not wait for the replies to earlier ones. A call that is sent again runs after those that were sent
 * meanwhile, so a caller that needs an order waits for each reply.
 */
export interface Script {
  /** The name of its command on a client. */
  readonly name: string
  readonly source: string
}

/** The `flags` of Redis 7: `no-writes` for a script that only reads, `allow-oom` for one that frees memory. */
export const script = (lua: string, flags: ReadonlyArray<"no-writes" | "allow-oom"> = []): Script => ({
  name: `nimbusScript${scripts++}`,
  source: `#!lua flags=${flags.join()}\n${lua}`,
})

let scripts = 0

/** A text, a number or bytes, as an argument of a command. */
export type Argument = string | number | Buffer

/** A client of ioredis: for a single server, one node, or a cluster. */
interface Scripted {
  defineCommand(name: string, definition: { readonly lua: string }): void
  callBuffer(command: string, args: Array<Argument>): Promise<unknown>
}

/** Runs a script on a client. The reply has bytes instead of text. */
export const run = async (
  client: Scripted,
  { name, source }: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<Argument>,
): Promise<unknown> => {
  // The types of ioredis do not include defined commands.
  const method = `${name}Buffer`
  if (!Reflect.has(client, method)) client.defineCommand(name, { lua: source })
  const command: unknown = Reflect.get(client, method)
  if (typeof command !== "function") throw new TypeError(`ioredis did not define ${method}`)
  try {
    return await Reflect.apply(command, client, [keys.length, ...keys, ...args])
  } catch (error) {
    if (!isUnknownScript(error)) throw error
    return await client.callBuffer("eval", [source, keys.length, ...keys, ...args])
  }
}

/** Redis ran nothing of it, so it may be sent again. */
const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT ")
