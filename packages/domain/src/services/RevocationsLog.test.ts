import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { LogUnavailable } from "../Errors.ts"
import type { RevocationLimits } from "../Limits.ts"
import { roomOf } from "../protocol/Records.ts"
import { eventually } from "../testing/Eventually.ts"
import { revocationsSuite } from "../testing/RevocationsSuite.ts"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { Revocations } from "./Revocations.ts"
import * as RevocationsLog from "./RevocationsLog.ts"
import { Topics } from "./Topics.ts"

const topic = Topics.locked.revocations
const logWith = (options?: EventLogMemory.EventLogMemoryOptions) =>
  EventLogMemory.layerMemory(options).pipe(Layer.provideMerge(Topics.layerLocked))

revocationsSuite("in memory", Revocations.layerMemory())
revocationsSuite("in the log", RevocationsLog.layer.pipe(Layer.provide(logWith())))

/** One gateway of those that share the log. */
const gateway = (limits: Partial<RevocationLimits> = {}) =>
  Effect.map(Layer.build(Layer.fresh(RevocationsLog.layerWith({ limits }))), (services) =>
    Revocations.use(Effect.succeed).pipe(Effect.provide(services)),
  ).pipe(Effect.flatten)

const issuer = "https://issuer.test"
const block = (subject: string) => ({ _tag: "Block", issuer, subject }) as const
const subjectsOf = ({ list }: Revocations["Service"]) =>
  list()
    .map((order) => (order._tag === "Token" ? order.tokenId : order.subject))
    .toSorted()

describe("RevocationsLog", () => {
  it.effect("an order at one gateway is in force at the others, and at those that start later", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* gateway(), yield* gateway()]
      const heard: Array<string> = []
      yield* b.onOrder(({ _tag }) => heard.push(_tag))
      yield* a.order(block("mallory"))
      yield* a.order({ _tag: "Token", issuer, tokenId: "t", expires_s: 600 })
      yield* eventually(
        "the other has them",
        Effect.sync(() => b.list().length === 2),
      ).pipe(TestClock.withLive)
      assert.deepStrictEqual(heard, ["Block", "Token"])
      const later = yield* gateway()
      assert.deepStrictEqual(subjectsOf(later), ["mallory", "t"])
      yield* later.order({ ...block("mallory"), _tag: "Unblock" })
      yield* eventually(
        "the first has that too",
        Effect.sync(() => a.list().length === 1),
      ).pipe(TestClock.withLive)
    }).pipe(Effect.provide(logWith())),
  )

  it.effect("beyond its bounds a new order is refused, and what replaces or ends one is not", () =>
    Effect.gen(function* () {
      const { order } = yield* gateway({ revocation_orders: 2, revocation_unblock_kept_ms: 60_000 })
      yield* order(block("a"))
      yield* order({ _tag: "Subject", issuer, subject: "b", issued_s: 1 })
      const full = yield* Effect.flip(order(block("c")))
      assert.strictEqual(full.code, "REVOCATIONS_FULL")
      assert.isTrue(yield* order({ _tag: "Subject", issuer, subject: "b", issued_s: 2 }))
      assert.isTrue(yield* order({ ...block("a"), _tag: "Unblock" }))
      // The end of the block is kept for as long as a record of the block may be on its way.
      yield* TestClock.adjust("2 minutes")
      assert.isTrue(yield* order(block("c")))
      const small = yield* gateway({ revocation_bytes: 1_000 })
      assert.strictEqual((yield* Effect.flip(small.order(block("x".repeat(1_000))))).code, "REVOCATIONS_FULL")
    }).pipe(Effect.provide(logWith())),
  )

  it.effect("what is in force is written again before the log drops it, once, however many gateways there are", () => {
    const retention_bytes = 40_000
    const limits = { revocation_rewrite_bytes: 20_000, revocation_bytes: 10_000 }
    return Effect.gen(function* () {
      const log = yield* EventLog
      const a = yield* gateway(limits)
      yield* gateway(limits)
      yield* gateway(limits)
      const kept = ["k1", "k2", "k3"]
      for (const subject of kept) yield* a.order(block(subject))
      for (let i = 0; i < 400; i++) {
        yield* a.order(block("now and then"))
        yield* a.order({ ...block("now and then"), _tag: "Unblock" })
        if (i % 20 === 0) yield* TestClock.adjust("1 minute")
      }
      yield* TestClock.adjust("1 minute")
      assert.isAbove(yield* log.earliest(topic, 0), 500)
      assert.deepStrictEqual(subjectsOf(yield* gateway(limits)), kept)
      // 803 orders, and some that were written again.
      assert.isBelow(yield* log.end(topic, 0), 900)
    }).pipe(Effect.provide(logWith({ retentionByTopic: { [topic]: { retention_bytes } } })))
  })

  it.effect("what is written again is no larger at once than its topic takes", () => {
    const limits = { revocation_rewrite_bytes: 40_000, revocation_bytes: 20_000 }
    const publish_bytes = 1_000
    return Effect.gen(function* () {
      const below = yield* EventLog
      const within = EventLog.of({
        ...below,
        facts: (topic) => ({ ...below.facts(topic), publish_bytes }),
        publish: (topic, partition, records) =>
          records.reduce((room, record) => room + roomOf(record), 0) > publish_bytes
            ? Effect.fail(new LogUnavailable({ topic, operation: "publish", cause: "too large" }))
            : below.publish(topic, partition, records),
      })
      const kept = Array.from({ length: 20 }, (_, i) => `kept-${i + 10}`)
      const a = yield* gateway(limits).pipe(Effect.provideService(EventLog, within))
      for (const subject of kept) yield* a.order(block(subject))
      for (let i = 0; i < 200; i++) {
        yield* a.order(block("now and then"))
        yield* a.order({ ...block("now and then"), _tag: "Unblock" })
      }
      const end = yield* below.end(topic, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* below.end(topic, 0), end + kept.length)
    }).pipe(Effect.provide(logWith()))
  })

  it.effect("an order that says less than what is in force is answered by what is", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const a = yield* gateway()
      const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
      yield* a.order(block("s"))
      const [{ at_ms } = { at_ms: 0 }] = a.list()
      const key = JSON.stringify(["block", issuer, "s"])
      // As a log that keeps the last record of a key would have it after this.
      yield* log.publish(topic, 0, [{ key, value: bytes({ ...block("s"), _tag: "Unblock", at_ms: at_ms - 1 }) }])
      yield* log.publish(topic, 0, [{ key, value: bytes("none of ours") }])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* log.end(topic, 0), 4)
      assert.deepStrictEqual(subjectsOf(a), ["s"])
    }).pipe(Effect.provide(logWith())),
  )

  it.effect("is not there before all that the log has is in force", () =>
    Effect.gen(function* () {
      const first = yield* gateway()
      for (let i = 0; i < 3_000; i++) yield* first.order(block(`s-${i}`))
      const later = yield* gateway()
      assert.strictEqual(later.list().length, 3_000)
    }).pipe(Effect.provide(logWith({ limits: { chunk_records: 100 } }))),
  )
})
