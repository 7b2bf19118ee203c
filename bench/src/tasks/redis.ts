/**
 * What one writes by hand for the same: each task writes its tokens to a stream of Redis, `XADD` by `XADD`, and the page
 * gets them by Server-Sent Events from a reader that waits with `XREAD` for all streams that somebody follows. It keeps no
 * order over attempts, no end that outlives a crash and no acknowledgements.
 */
import { createServer, type ServerResponse } from "node:http"
import { Redis } from "ioredis"
import { type Asked, tokens } from "./Tokens.ts"

const [host = "", port = ""] = (process.env["NIMBUS_REDIS_ADDRESS"] ?? "").split(":")
const options = { host, port: Number(port), enableAutoPipelining: true }
const writer = new Redis(options)
const reader = new Redis(options)
/** A stream is cut at about as much as a page may be behind. */
const most_entries = 10_000

interface Follower {
  readonly response: ServerResponse
  last: string
}

/** By the name of the stream. */
const followers = new Map<string, Follower>()

const run = async (stream: string, asked: Asked): Promise<void> => {
  const write = (...fields: ReadonlyArray<string>) => writer.xadd(stream, "MAXLEN", "~", most_entries, "*", ...fields)
  // As many are under way as one tick of the loop makes: ioredis sends them together.
  for await (const token of tokens(asked)) await write("part", JSON.stringify(token))
  await write("end", "done")
}

const read = async (): Promise<void> => {
  const streams = [...followers.keys()]
  const ids = [...followers.values()].map(({ last }) => last)
  if (streams.length === 0) return
  const found = await reader.xread("COUNT", 1_000, "BLOCK", 20, "STREAMS", ...streams, ...ids)
  for (const [stream, entries] of found ?? []) {
    const follower = followers.get(stream)
    if (follower === undefined) continue
    follower.last = entries.at(-1)?.[0] ?? follower.last
    const frames = entries.map(([id, [field = "", value = ""]]) => `id: ${id}\nevent: ${field}\ndata: ${value}\n\n`)
    follower.response.write(frames.join(""))
  }
}

const reading = async (): Promise<never> => {
  for (;;) {
    await read()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://bench")
  if (pathname === "/healthz") return void response.end("ok")
  const stream = `task:${searchParams.get("clientId")}`
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
  followers.set(stream, { response, last: "0" })
  response.once("close", () => followers.delete(stream))
  const asked = { per_second: Number(searchParams.get("per_second")), for_ms: Number(searchParams.get("for_ms")) }
  run(stream, asked).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
})

server.listen(Number(process.env["NIMBUS_HTTP_PORT"]), "127.0.0.1")
process.on("SIGTERM", () => process.exit(0))
await reading()
