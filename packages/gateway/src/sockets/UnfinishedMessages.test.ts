/** Clients that begin messages and do not end them, on every transport, by real sockets. */
import { Code } from "@connectrpc/connect"
import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "@nimbus/domain/protocol"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { WebSocket } from "ws"
import { GrpcServer } from "../grpc/GrpcServer.ts"
import { Gateway } from "../index.ts"
import { connect as connectGrpc, frame } from "../testing/GrpcClient.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const unfinished_bytes = 100_000

const onGateway = Effect.provide(
  Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { close_ms: 200, unfinished_bytes } }).pipe(
    Layer.provideMerge(MemoryParts.layer),
  ),
)

const open = (path: string) =>
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if (!("port" in address)) return assert.fail("no port")
    const ws = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(`ws://127.0.0.1:${address.port}${path}`)),
      (ws) => Effect.sync(() => ws.terminate()),
    )
    ws.on("error", () => {})
    const closed = new Promise<number>((resolve) => ws.once("close", resolve))
    yield* Effect.callback<void>((resume) => void ws.once("open", () => resume(Effect.void)))
    return { ws, closed: Effect.promise(() => closed) }
  })

/** Resumes once the gateway has read all that was sent before. */
const read = (ws: WebSocket) =>
  Effect.callback<void>((resume) => {
    ws.once("pong", () => resume(Effect.void))
    ws.ping()
  })

const part = (ws: WebSocket, bytes: number) => {
  ws.send("x".repeat(bytes), { fin: false })
  return read(ws)
}

describe("messages that are not whole", () => {
  it.live.each([
    { path: "/v1/stream?clientId=", code: closeCodes.busy.code },
    { path: "/approach3/events?clientId=", code: closeCodes.busy.code },
    // Its clients come back without a reason.
    { path: "/socket.io/?EIO=4&transport=websocket&n=", code: 1006 },
  ])("end the connection at $path that has brought the most of them", ({ code, path }) =>
    Effect.gen(function* () {
      const large = yield* open(`${path}large`)
      const small = yield* open(`${path}small`)
      yield* part(large.ws, 60_000)
      yield* part(small.ws, 30_000)
      small.ws.send("x".repeat(20_000), { fin: false })
      assert.strictEqual(yield* large.closed, code)
      yield* read(small.ws)
      assert.strictEqual(small.ws.readyState, small.ws.OPEN)
    }).pipe(Effect.scoped, onGateway),
  )

  it.live.each(["/v1/stream?clientId=c1", "/approach2/events?clientId=c2", "/socket.io/?EIO=4&transport=websocket"])(
    "end the connection at %s where they come in too many frames",
    (path) =>
      Effect.gen(function* () {
        const { closed, ws } = yield* open(path)
        for (let i = 0; i < 128; i++) ws.send("x", { fin: false })
        yield* read(ws)
        assert.strictEqual(ws.readyState, ws.OPEN)
        ws.send("x", { fin: false })
        assert.strictEqual(yield* closed, 1008)
      }).pipe(Effect.scoped, onGateway),
  )

  it.live("end the gRPC call that has brought the most of them", () =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const [large, small] = yield* Effect.forEach(["large", "small"] as const, (client_id) =>
        connectGrpc({ port, metadata: { client_id, notices: "true" } }),
      )
      for (const call of [large!, small!]) yield* call.first("welcome", ({ welcome }) => welcome !== undefined)
      const message = frame(new Uint8Array(90_000))
      large!.sendBytes(message.subarray(0, 70_000))
      small!.sendBytes(message.subarray(0, 40_000))
      const { code, message: why } = yield* large!.ended
      assert.deepStrictEqual([code, why.split(":")[0]], [Code.Unavailable, closeCodes.busy.reason])
      assert.isFalse(small!.stream.destroyed)
    }).pipe(Effect.scoped, onGateway),
  )
})
