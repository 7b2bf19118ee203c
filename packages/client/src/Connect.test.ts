import { assert, describe, it } from "@effect/vitest"
import type { Frames } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Deferred, Effect, Queue } from "effect"
import { connect, type Connected, type ConnectOptions } from "./Connect.ts"
import { GatewayModel } from "./testing/GatewayModel.ts"
import { serve } from "./testing/SocketServer.ts"

/** A gateway at a real socket, answering at once; and a client by promises. */
const connectedTo = Effect.fnUntraced(function* (gateway: GatewayModel, options: Partial<ConnectOptions>) {
  const server = yield* serve((socket) => {
    const say = (frame: object | undefined) => frame && socket.send(JSON.stringify(frame))
    say(gateway.connect(`ws://gateway${socket.url}`))
    say(gateway.deliver())
    socket.onText = (text) => {
      gateway.hear(text)
      say(gateway.accept())
      say(gateway.deliver())
    }
  })
  return yield* Effect.acquireRelease(
    Effect.promise(() => connect({ url: server.address, clientId: "c1", onResult: () => {}, ...options })),
    (client) => Effect.promise(() => client.close()),
  )
})

const until = (client: Connected, condition: (client: Connected) => boolean) =>
  eventually(
    "the client is so far",
    Effect.sync(() => condition(client)),
  )

describe("connect", () => {
  it.live("sends, and calls back with each result, in order", () =>
    Effect.gen(function* () {
      const results = yield* Queue.unbounded<Frames.ResultItem>()
      const statuses: Array<string> = []
      const client = yield* connectedTo(new GatewayModel(), {
        onResult: (result) => Queue.offerUnsafe(results, result),
        onStatus: (status) => statuses.push(status),
      })
      for (const id of ["a", "b", "c"]) {
        assert.strictEqual(yield* Effect.promise(() => client.send("sq", { number: 1 }, { id })), id)
      }
      assert.deepStrictEqual(
        (yield* Queue.takeN(results, 3)).map(({ id }) => String(id)),
        ["a", "b", "c"],
      )
      assert.deepInclude(client.stats, { sent: 3, accepted: 3, received: 3, repeats: 0, outOfOrder: 0 })
      assert.strictEqual(client.status, "REPLAYING")
      assert.include(statuses, "REPLAYING")
    }),
  )

  it.live("answers a request", () =>
    Effect.gen(function* () {
      const client = yield* connectedTo(new GatewayModel(), {})
      const result = yield* Effect.promise(() => client.request("sq", { number: 7 }))
      assert.deepStrictEqual(result.data, { answers: { number: 7 } })
    }),
  )

  it.live("waits for the promise of a callback before the next one, and before the ack", () =>
    Effect.gen(function* () {
      const gateway = new GatewayModel()
      gateway.publish("a")
      gateway.publish("b")
      const gate = yield* Deferred.make<void>()
      const calls: Array<string> = []
      const client = yield* connectedTo(gateway, {
        onResult: async ({ id }) => {
          calls.push(id)
          await Effect.runPromise(Deferred.await(gate))
        },
      })
      yield* until(client, ({ stats }) => stats.received === 2 && calls.length > 0)
      assert.deepStrictEqual(calls, ["a"])
      assert.strictEqual(gateway.acked, -1)
      yield* Deferred.succeed(gate, undefined)
      yield* until(client, () => gateway.mailbox.length === 0)
      assert.deepStrictEqual(calls, ["a", "b"])
    }),
  )

  it.live("closes with the error of a callback, and leaves its result unacknowledged", () =>
    Effect.gen(function* () {
      const gateway = new GatewayModel()
      gateway.publish("a")
      const client = yield* connectedTo(gateway, {
        onResult: () => {
          throw new Error("my own fault")
        },
      })
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => client.closed, catch: (error) => error }))
      assert.deepInclude(error, { code: "CALLBACK_FAILED" })
      assert.strictEqual(gateway.mailbox.length, 1)
    }),
  )

  it.live("rejects what can't be connected to", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.tryPromise({
          try: () => connect({ url: "nowhere", clientId: "c1", onResult: () => {} }),
          catch: (error) => error,
        }),
      )
      assert.deepInclude(error, { code: "BAD_REQUEST" })
    }),
  )

  it.live("resolves `closed` when it is closed, and rejects what is sent after", () =>
    Effect.gen(function* () {
      const client = yield* connectedTo(new GatewayModel(), {})
      yield* Effect.promise(() => client.close())
      yield* Effect.promise(() => client.closed)
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => client.send("sq"), catch: (error) => error }))
      assert.deepInclude(error, { code: "CLIENT_CLOSED" })
    }),
  )
})
