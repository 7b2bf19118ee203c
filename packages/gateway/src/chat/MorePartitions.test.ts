/** The chats topic gets partitions while gateways run, and is begun anew with them. */
import { assert, describe, it } from "@effect/vitest"
import { partitionOf } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { HttpServer } from "effect/http"
import { io } from "socket.io-client"
import * as Gateway from "../Gateway.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const { chats } = Topics.defaults

/** Its home is another partition once there are two. */
const room = ["r", "s", "t", "u"].find((name) => partitionOf(name, 2) === 1) ?? assert.fail("all rooms stay")

/** A log of two partitions, of which the chats have so many as `state` says. */
const growing = (state: { partitions: number }) =>
  Layer.effect(
    EventLog,
    Effect.map(EventLog, (log) => ({
      ...log,
      partitions: 1,
      facts: (topic: string) => ({ ...log.facts(topic), partitions: topic === chats ? state.partitions : 1 }),
    })),
  ).pipe(Layer.provideMerge(MemoryParts.layerWith({ partitions: 2 })))

const startGateway = Effect.gen(function* () {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0, limits: { close_ms: 200, tick_ms: 10 } })
  const { address } = Context.get(yield* Layer.buildWithScope(Layer.fresh(gateway), scope), HttpServer.HttpServer)
  if (!("port" in address)) return assert.fail("no port")
  return { url: `http://127.0.0.1:${address.port}`, stop: Scope.close(scope, Exit.void) }
})

/** A socket that is live, what it got, and with which place. */
const join = Effect.fnUntraced(function* (url: string, auth: Record<string, unknown>) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => io(url, { auth, transports: ["websocket"], forceNew: true })),
    (socket) => Effect.sync(() => void socket.disconnect()),
  )
  const got: Array<readonly [data: unknown, offset: unknown]> = []
  const refusals: Array<unknown> = []
  let isLive = false
  socket.on("message", (data: unknown, _info: unknown, offset: unknown) => got.push([data, offset]))
  socket.on("refused", ({ code }: { readonly code: unknown }) => refusals.push(code))
  socket.on("live", () => (isLive = true))
  yield* eventually(
    "it is live",
    Effect.sync(() => isLive),
  )
  const has = (expected: ReadonlyArray<unknown>) =>
    eventually(
      `it has ${JSON.stringify(expected)}`,
      Effect.sync(() => JSON.stringify(got.map(([data]) => data)) === JSON.stringify(expected)),
    )
  return { socket, got, refusals, has }
})

/** What another service writes, which knows of all partitions at once. */
const produce = Effect.fnUntraced(function* (value: string) {
  const log = yield* EventLog
  return yield* log.publish(chats, 1, [{ key: room, value: new TextEncoder().encode(JSON.stringify(value)) }])
})

describe("a chats topic that gets partitions", () => {
  it.live("is read to its end, also what came before that was known, and answers as before", () => {
    const state = { partitions: 1 }
    return Effect.gen(function* () {
      const { url } = yield* startGateway
      const [a, b] = yield* Effect.all([join(url, { room }), join(url, { room })])
      yield* produce("before it is known")
      state.partitions = 2
      yield* a.has(["before it is known"])
      yield* produce("afterwards")
      yield* a.has(["before it is known", "afterwards"])
      const answer: unknown = yield* Effect.promise(() => a.socket.timeout(30_000).emitWithAck("message", "own"))
      assert.property(answer, "offset")
      yield* b.has(["before it is known", "afterwards", "own"])
    }).pipe(Effect.scoped, Effect.provide(growing(state)))
  })

  it.live("gives rooms their new partition with a new start, and takes no place of the old one for one of it", () => {
    const state = { partitions: 1 }
    return Effect.gen(function* () {
      const first = yield* startGateway
      const before = yield* join(first.url, { room })
      const other = yield* join(first.url, { room })
      yield* Effect.promise(() => other.socket.timeout(30_000).emitWithAck("message", "old"))
      yield* before.has(["old"])
      const [[, place] = []] = before.got
      state.partitions = 2
      yield* produce("new")
      yield* first.stop
      const second = yield* startGateway
      const back = yield* join(second.url, { room, offset: place })
      yield* back.has(["new"])
      assert.deepStrictEqual(back.refusals, ["AFTER_OTHER_LOG"])
      // From here on its places are of the new partition.
      const again = yield* join(second.url, { room, offset: back.got[0]?.[1] })
      yield* produce("newer")
      yield* again.has(["newer"])
      assert.deepStrictEqual(again.refusals, [])
    }).pipe(Effect.scoped, Effect.provide(growing(state)))
  })
})
