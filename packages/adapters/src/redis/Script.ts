/**
 * Lua that Redis runs as one step, by ioredis' `defineCommand`: the first call on a connection sends the source, later
 * ones its hash. Where Redis has forgotten the script, because it was restarted, flushed, or the slot has moved to
 * another node, ioredis sends the source again.
 *
 * Calls are sent without waiting for each other's replies. One that has to be sent again runs after those that were
 * sent in the meantime: a caller that needs an order waits.
 */
export interface Script {
  /** What its command is called on a client. */
  readonly name: string
  readonly source: string
}

/** `flags` as Redis 7 has them: `no-writes` for one that only reads, `allow-oom` for one that makes room. */
export const script = (lua: string, flags: ReadonlyArray<"no-writes" | "allow-oom"> = []): Script => ({
  name: `nimbusScript${scripts++}`,
  source: `#!lua flags=${flags.join()}\n${lua}`,
})

let scripts = 0

/** A word or number as Redis takes it, or bytes. */
export type Argument = string | number | Buffer

/** A client of ioredis: of a single server, of one node, or of a cluster. */
interface Scripted {
  defineCommand(name: string, definition: { readonly lua: string }): void
}

/** Runs a script on a client. The reply has bytes where Redis has text. */
export const run = async (
  client: Scripted,
  { name, source }: Script,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<Argument>,
): Promise<unknown> => {
  // The types of ioredis do not have what was defined.
  const method = `${name}Buffer`
  if (!Reflect.has(client, method)) client.defineCommand(name, { lua: source })
  const command: unknown = Reflect.get(client, method)
  if (typeof command !== "function") throw new TypeError(`ioredis did not define ${method}`)
  return await Reflect.apply(command, client, [keys.length, ...keys, ...args])
}
