import { createServer, connect, type ServerHttp2Stream } from "node:http2"
import { assert, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { StepWriter } from "./StepWriter.ts"

/** A stream of HTTP/2, and what its other end reads, which reads nothing at first. */
const stream = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const session = connect(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`)
    const taken = new Promise<ServerHttp2Stream>((resolve) => server.once("stream", resolve))
    const client = session.request({ ":path": "/" })
    const stream = await taken
    stream.respond()
    return { server, session, client, stream }
  }),
  ({ server, session }) =>
    Effect.sync(() => {
      session.destroy()
      server.close()
    }),
)

/** Bytes from `from` on, each of which tells its place. */
const bytes = (from: number, count: number) => Buffer.from(Array.from({ length: count }, (_, i) => (from + i) % 251))

it.live("says soon what flow control has let through, step by step, and brings everything in order", () =>
  Effect.gen(function* () {
    const { client, stream: written } = yield* stream
    const steps: Array<number> = []
    const writer = new StepWriter(written, 1_000, (sent) => void steps.push(sent))
    writer.write(bytes(0, 50_000))
    writer.write(bytes(50_000, 10))
    writer.write(bytes(50_010, 99_990))
    // The window of a stream is 65,535 bytes, and nobody reads.
    yield* eventually(
      "65 steps are through",
      Effect.sync(() => steps.length === 65),
    )
    assert.strictEqual(writer.waiting_bytes, 85_000)
    const read: Array<Buffer> = []
    client.on("data", (chunk: Buffer) => void read.push(chunk))
    yield* eventually(
      "all are through",
      Effect.sync(() => writer.waiting_bytes === 0),
    )
    assert.strictEqual(
      steps.reduce((a, b) => a + b, 0),
      150_000,
    )
    assert.isAtMost(Math.max(...steps), 1_000)
    yield* eventually(
      "all is read",
      Effect.sync(() => Buffer.concat(read).length === 150_000),
    )
    assert.isTrue(Buffer.concat(read).equals(bytes(0, 150_000)))
  }).pipe(Effect.scoped),
)

it.live("hands on everything before the stream is ended", () =>
  Effect.gen(function* () {
    const { client, stream: written } = yield* stream
    const writer = new StepWriter(written, 1_000, () => {})
    for (let at = 0; at < 10_000; at += 100) writer.write(bytes(at, 100))
    writer.flush()
    written.end()
    const read: Array<Buffer> = []
    client.on("data", (chunk: Buffer) => void read.push(chunk))
    yield* Effect.callback<void>((resume) => void client.once("end", () => resume(Effect.void)))
    assert.isTrue(Buffer.concat(read).equals(bytes(0, 10_000)))
  }).pipe(Effect.scoped),
)
