/**
 * The gRPC transport on the whole of Nimbus, for clients of the old contract: made from a copy of it, by another
 * library than the transport's, and with no word of acks, seqs or notices.
 */
import { assert, describe, it } from "@effect/vitest"
import { Handlers } from "@nimbus/domain/services"
import { GrpcServer } from "@nimbus/gateway"
import { GrpcClient, OldGrpcClient } from "@nimbus/gateway/testing"
import { Effect, Layer } from "effect"
import * as Nimbus from "./Nimbus.ts"

/** One client may open as many sessions in a row as a test opens: how these are paced is not what it is about. */
const limits = { openings_in_a_row: 100 }
const nimbus = Nimbus.layerMemory({ host: "127.0.0.1", port: 0, limits }).pipe(
  Layer.provide(Handlers.layer(Handlers.samples)),
)

const oneTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i + 1)

const call = Effect.fnUntraced(function* (metadata: Readonly<Record<string, string>>) {
  const { port } = yield* GrpcServer
  return yield* GrpcClient.connect({ port, metadata })
})

describe("a client of the old contract", () => {
  it.live("gets the answers to all that it sends, and then the end of the call", () =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const answers = yield* OldGrpcClient.square(port, "c1", [1, 2, 46_340, 46_341, -7])
      assert.deepStrictEqual(
        answers.map(({ eventName, number, result }) => [eventName, number, result]),
        [
          ["sq", 1, 1],
          ["sq", 2, 4],
          ["sq", 46_340, 2_147_395_600],
          ["sq", 46_341, 0],
          ["sq", -7, 49],
        ],
      )
      // It has no field for an error, but sees it in the log.
      assert.deepStrictEqual(
        answers.map(({ log }) => log?.steps.at(-1)?.message.split(":")[0] === "NOT_INT32"),
        [false, false, false, true, false],
      )
      // The first events of a second are sampled, and it sees their steps, as from NimbusGRPC's own server.
      for (const { log } of answers) {
        assert.strictEqual(log?.steps[0]?.methodName, "accepted")
        assert.isDefined(log?.steps[0]?.timestamp)
      }
    }).pipe(Effect.provide(nimbus)),
  )

  it.live("gets what it missed first, in order, when it comes back after a disconnect in the middle", () =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const first = yield* call({ client_id: "c1" })
      first.square(...oneTo(100))
      yield* first.hasResults(1)
      first.cut()
      const seen = first.results().map(({ number }) => number)
      const other = yield* call({ client_id: "c1" })
      other.square(...oneTo(50).map((i) => 100 + i))
      yield* other.first("its last", ({ number }) => number === 150)
      const rest = other.results().map(({ number }) => number)
      // What was not acknowledged in time it sees again; nothing is missing.
      assert.deepStrictEqual(rest, oneTo(150).slice(150 - rest.length))
      assert.isAtLeast(seen.length + rest.length, 150)
      // The call ends as it should: all of it counts as read, and does not come again.
      other.halfClose()
      assert.strictEqual((yield* other.ended).code, 0)
      assert.deepStrictEqual(yield* OldGrpcClient.square(port, "c1", []), [])
    }).pipe(Effect.scoped, Effect.provide(nimbus)),
  )

  it.live("gets what came while it was away before the answers to what it sends now", () =>
    Effect.gen(function* () {
      const { port } = yield* GrpcServer
      const first = yield* call({ client_id: "c1", notices: "true" })
      first.square(...oneTo(1_000))
      yield* first.first("all accepted", () => first.responses.flatMap(({ accepted }) => accepted).length === 1_000)
      first.cut()
      const answers = yield* OldGrpcClient.square(port, "c1", [2_001, 2_002])
      const numbers = answers.map(({ number }) => number)
      assert.deepStrictEqual(numbers.slice(-2), [2_001, 2_002])
      assert.deepStrictEqual(numbers.slice(0, -2), oneTo(1_000).slice(1_002 - numbers.length))
    }).pipe(Effect.scoped, Effect.provide(nimbus)),
  )
})

describe("a client that acknowledges", () => {
  it.live("sees each result once and in order over 20 hard cuts", () =>
    Effect.gen(function* () {
      const shown: Array<number> = []
      let last = -1n
      for (let life = 0; life < 20; life++) {
        const from = 1 + life * 50
        const client = yield* GrpcClient.connect({
          port: (yield* GrpcServer).port,
          metadata: { client_id: "c1", ack: "client", after: `${last}`, notices: "true" },
          onResponse: ({ number, seq = -1n }, client) => {
            if (seq <= last) return
            last = seq
            shown.push(number)
            if (shown.length % 7 === 0) client.ack(seq)
          },
        })
        client.square(...oneTo(50).map((i) => from + i - 1))
        yield* client.first("accepted", () => client.responses.flatMap(({ accepted }) => accepted).length === 50)
        client.cut()
      }
      const { port } = yield* GrpcServer
      const end = yield* GrpcClient.connect({ port, metadata: { client_id: "c1", ack: "client", after: `${last}` } })
      yield* end.hasResults(1_000 - shown.length)
      assert.deepStrictEqual([...shown, ...end.results().map(({ number }) => number)], oneTo(1_000))
    }).pipe(Effect.scoped, Effect.provide(nimbus)),
  )

  it.live("is sent again what it had not acknowledged, and says where it is by `after`", () =>
    Effect.gen(function* () {
      const first = yield* call({ client_id: "c1", ack: "client" })
      first.square(1, 2, 3)
      yield* first.hasResults(3)
      first.cut()
      const second = yield* call({ client_id: "c1", ack: "client", after: String(first.results()[0]?.seq) })
      yield* second.hasResults(2)
      assert.deepStrictEqual(
        second.results().map(({ number }) => number),
        [2, 3],
      )
    }).pipe(Effect.scoped, Effect.provide(nimbus)),
  )
})
