/**
 * Peers that send and never read, by TLS: what waits for them is bounded as it is without, and whoever reads slowly stays.
 * NeverReads.verify.test.ts has all transports.
 */
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { closeCodes } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Layer, Metric } from "effect"
import { WebSocket } from "ws"
import * as HttpFront from "../http/HttpFront.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { Gateway } from "../index.ts"
import { authority, directoryWith } from "../testing/Certificates.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const deadline_ms = 700
/** What a peer sends if nobody stops it: far beyond what the kernels on the way take. */
const most_bytes = 32 * 1024 * 1024
/** Of one connection: the bound, and what answers one chunk that was read with what reached it. */
const bound_bytes = 4 * 1024 * 1024
const payload = Buffer.alloc(125)

const start = Effect.gen(function* () {
  const { ca, sign } = yield* authority
  const services = yield* Layer.build(
    Gateway.layerWith({
      host: "127.0.0.1",
      port: 0,
      tls: yield* directoryWith(yield* sign("IP:127.0.0.1")),
      limits: { tick_ms: 20, write_deadline_ms: deadline_ms, close_ms: 5_000, events_per_second: 10_000_000 },
    }).pipe(Layer.provideMerge(MemoryParts.layer)),
  )
  const url = yield* Effect.provideContext(HttpFront.url, services)
  let most = 0
  const ends = new Set<Socket>()
  Context.get(services, UpgradeServer).server.on("connection", (socket) => {
    ends.add(socket)
    socket.on("data", () =>
      setImmediate(() => (most = Math.max(most, ...Array.from(ends, ({ writableLength }) => writableLength)))),
    )
  })
  const ws = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`${url.replace("http", "ws")}/v1/stream?clientId=c`, { ca })),
    (ws) => Effect.sync(() => ws.terminate()),
  )
  ws.on("error", () => {})
  yield* Effect.callback<void>((resume) => void ws.once("open", () => resume(Effect.void)))
  return { ws, most: () => most }
})

/** Pings as fast as they are taken, as long as the connection lives. */
const flood = (ws: WebSocket) => {
  let said_bytes = 0
  const goOn = (): void => {
    while (ws.readyState === ws.OPEN && ws.bufferedAmount < 256 * 1024 && said_bytes < most_bytes) {
      ws.ping(payload)
      said_bytes += payload.length + 6
    }
    if (ws.readyState === ws.OPEN && said_bytes < most_bytes) setImmediate(goOn)
  }
  goOn()
  return () => said_bytes
}

describe("by TLS a peer that sends pings", () => {
  it.live(
    "and never reads ends with TOO_SLOW, and little waits for it",
    () =>
      Effect.gen(function* () {
        const { most, ws } = yield* start
        const closed = new Promise<number>((resolve) => ws.once("close", (code) => resolve(code)))
        ws.pause()
        const said = flood(ws)
        yield* eventually(
          "TOO_SLOW is counted",
          Effect.map(Metric.snapshot, (all) =>
            all.some(
              ({ attributes, id }) => id === "nimbus_gateway_refused_total" && attributes?.["code"] === "TOO_SLOW",
            ),
          ),
          30_000,
        )
        // Whoever reads after all is told why.
        ws.resume()
        assert.strictEqual(yield* Effect.promise(() => closed), closeCodes.tooSlow.code)
        assert.isBelow(said(), most_bytes)
        assert.isBelow(most(), bound_bytes)
        assert.isAbove(most(), 0)
      }).pipe(Effect.scoped),
    60_000,
  )

  it.live(
    "and reads slowly stays",
    () =>
      Effect.gen(function* () {
        const { most, ws } = yield* start
        let pongs = 0
        ws.on("pong", () => pongs++)
        flood(ws)
        const timer = setInterval(() => {
          ws.pause()
          setTimeout(() => ws.resume(), deadline_ms / 4)
        }, deadline_ms / 2)
        yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
        yield* eventually(
          "all pongs",
          Effect.sync(() => pongs >= Math.floor(most_bytes / (payload.length + 6)) || ws.readyState !== ws.OPEN),
          50_000,
        )
        assert.strictEqual(ws.readyState, ws.OPEN)
        assert.isBelow(most(), bound_bytes)
      }).pipe(Effect.scoped),
    60_000,
  )
})
