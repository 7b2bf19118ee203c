import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { groupOf, type Role, topicOf } from "./Groups.ts"
import { EventId, Seq } from "./Ids.ts"
import { makeStandings } from "./Lag.ts"
import { encode, encodeResult } from "./Records.ts"
import { Topics } from "./Topics.ts"

const on = Effect.provide(EventLogMemory.layerMemory({ partitions: 1 }).pipe(Layer.provideMerge(Topics.layerDefault)))

const append = Effect.fnUntraced(function* (kind: "events" | "results", ...seqs: ReadonlyArray<number>) {
  const log = yield* EventLog
  const values = seqs.map((seq) => {
    const named = { id: EventId.make(`e${seq}`), name: "sq", data: null }
    return kind === "events" ? encode({ type: "event", ...named }) : encodeResult({ seq: Seq.make(seq), ...named })
  })
  yield* log.publish(
    (yield* Topics)[kind],
    0,
    values.map((value) => ({ key: "c1", value })),
  )
})

/** As the role does. */
const commit = Effect.fnUntraced(function* (role: Role, next: number) {
  const log = yield* EventLog
  const topics = yield* Topics
  yield* Effect.scoped(
    Effect.gen(function* () {
      const pull = yield* Stream.toPull(log.subscribe(topicOf(role, topics), groupOf(role, topics)))
      const [partition] = yield* pull
      yield* partition.commit(next)
    }),
  )
})

describe("the lag of results", () => {
  it.effect("is 0 where the event consumer started over and wrote the last of them again", () =>
    Effect.gen(function* () {
      const standingOf = yield* makeStandings
      const lag = Effect.map(standingOf("result-consumer", 0), ({ lag }) => lag)
      yield* append("events", 0, 1, 2)
      yield* append("results", 0, 1, 2, 1, 2)
      yield* commit("result-consumer", 2)
      // It may yet write what is no repeat.
      yield* commit("event-consumer", 2)
      assert.strictEqual(yield* lag, 2)
      yield* commit("event-consumer", 3)
      assert.deepStrictEqual(yield* standingOf("result-consumer", 0), { earliest: 0, end: 5, committed: 2, lag: 0 })
    }).pipe(on),
  )

  it.effect("counts what follows the repeats, until that is committed too", () =>
    Effect.gen(function* () {
      const standingOf = yield* makeStandings
      const lag = Effect.map(standingOf("result-consumer", 0), ({ lag }) => lag)
      yield* append("events", 0, 1)
      yield* append("results", 0, 1, 0, 1)
      yield* commit("event-consumer", 2)
      yield* commit("result-consumer", 1)
      assert.strictEqual(yield* lag, 0)
      yield* append("events", 2)
      yield* append("results", 2)
      yield* commit("event-consumer", 3)
      assert.strictEqual(yield* lag, 1)
      yield* commit("result-consumer", 4)
      assert.strictEqual(yield* lag, 0)
    }).pipe(on),
  )
})
