import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { LogUnavailable } from "../Errors.ts"
import { lateStepsLimits } from "../Limits.ts"
import { ClientId, Seq } from "../protocol/Ids.ts"
import * as Journey from "../protocol/Journey.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import * as LateSteps from "./LateSteps.ts"
import { Topics } from "./Topics.ts"

const clients = Array.from({ length: 8 }, (_, i) => ClientId.make(`c${i}`))
const step = (time: number): Journey.JourneyStep => ({ time, service: "gateway", instance: "gw", step: "sent" })
const decode = Schema.decodeSync(Schema.fromJsonString(Journey.LateSteps))

/** What was published, by partition; while `isDown`, nothing is. */
const logged = Effect.gen(function* () {
  const log = yield* EventLog
  const published: Array<{ readonly partition: number; readonly late: Journey.LateSteps }> = []
  const state = { isDown: false, calls: 0 }
  const publish: EventLog["Service"]["publish"] = (topic, partition, records) =>
    Effect.suspend(() => {
      state.calls++
      if (state.isDown) return Effect.fail(new LogUnavailable({ topic, operation: "publish", cause: "down" }))
      for (const { value } of records) published.push({ partition, late: decode(new TextDecoder().decode(value)) })
      return log.publish(topic, partition, records)
    })
  return { published, state, log: { ...log, publish } }
})

const layer = EventLogMemory.layerMemory().pipe(Layer.provideMerge(Topics.layerDefault))
const collected = TestClock.adjust(lateStepsLimits.collect_ms)

describe("LateSteps", () => {
  it.effect("collects steps, and writes each in the partition of its client, in one publish for each", () =>
    Effect.gen(function* () {
      const { log, published, state } = yield* logged
      const late = yield* LateSteps.make({ late_steps: 100, dropped: () => Effect.void }).pipe(
        Effect.provideService(EventLog, log),
      )
      for (const clientId of clients) for (const time of [1, 2]) late.offer(clientId, Seq.make(time), [step(time)])
      assert.strictEqual(state.calls, 0)
      yield* collected
      assert.strictEqual(published.length, 16)
      assert.isTrue(
        published.every(({ late: { clientId }, partition }) => partition === partitionOf(clientId, log.partitions)),
      )
      assert.strictEqual(state.calls, new Set(published.map(({ partition }) => partition)).size)
    }).pipe(Effect.provide(layer)),
  )

  it.effect("drops what does not fit, and what the log does not take, and counts it", () =>
    Effect.gen(function* () {
      const { log, published, state } = yield* logged
      let dropped = 0
      const late = yield* LateSteps.make({
        late_steps: 3,
        dropped: (records) => Effect.sync(() => void (dropped += records)),
      }).pipe(Effect.provideService(EventLog, log))
      const [clientId] = clients
      for (const time of [1, 2, 3, 4, 5]) late.offer(clientId!, Seq.make(time), [step(time)])
      yield* collected
      assert.deepStrictEqual(
        published.map(({ late: { seq } }) => Number(seq)),
        [1, 2, 3],
      )
      assert.strictEqual(dropped, 2)
      state.isDown = true
      late.offer(clientId!, Seq.make(6), [step(6)])
      yield* collected
      assert.strictEqual(dropped, 3)
      state.isDown = false
      late.offer(clientId!, Seq.make(7), [step(7)])
      yield* collected
      assert.strictEqual(published.length, 4)
    }).pipe(Effect.provide(layer)),
  )

  it.effect("writes what is left when the scope closes", () =>
    Effect.gen(function* () {
      const { log, published } = yield* logged
      yield* Effect.scoped(
        Effect.gen(function* () {
          const late = yield* LateSteps.make({ late_steps: 3, dropped: () => Effect.void })
          late.offer(clients[0]!, Seq.make(1), [step(1)])
        }),
      ).pipe(Effect.provideService(EventLog, log))
      assert.strictEqual(published.length, 1)
    }).pipe(Effect.provide(layer)),
  )
})
