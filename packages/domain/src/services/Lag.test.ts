import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { FinishedSet } from "../protocol/FinishedSet.ts"
import { groupOf, type Role, topicOf } from "./Groups.ts"
import { EventId } from "../protocol/Ids.ts"
import { makeStandings } from "./Lag.ts"
import { encode } from "../protocol/Records.ts"
import { Topics } from "./Topics.ts"

const on = Effect.provide(EventLogMemory.layerMemory({ partitions: 1 }).pipe(Layer.provideMerge(Topics.layerDefault)))

const append = Effect.fnUntraced(function* (count: number) {
  const log = yield* EventLog
  const value = encode({ type: "event", id: EventId.make("e"), name: "sq", data: null })
  yield* log.publish(
    (yield* Topics).events,
    0,
    Array.from({ length: count }, () => ({ key: "c1", value })),
  )
})

/** As the role does. */
const commit = Effect.fnUntraced(function* (role: Role, next: number, metadata?: string) {
  const log = yield* EventLog
  const topics = yield* Topics
  yield* Effect.scoped(
    Effect.gen(function* () {
      const pull = yield* Stream.toPull(log.subscribe(topicOf(role, topics), groupOf(role, topics)))
      const [partition] = yield* pull
      yield* partition.commit(next, metadata)
    }),
  )
})

describe("the lag of a role", () => {
  it.effect("is what its group has not committed, but for what the commit says is finished above it", () =>
    Effect.gen(function* () {
      const { incarnation } = yield* EventLog
      const standingOf = yield* makeStandings
      const ofEvents = standingOf("event-consumer", 0)
      yield* append(5)
      assert.deepStrictEqual(yield* ofEvents, { earliest: 0, end: 5, committed: undefined, lag: 5 })
      const set = new FinishedSet(0)
      set.read([{ offset: 0 }, { offset: 1 }, { offset: 2 }], 3)
      for (const offset of [0, 2]) set.finish(offset)
      const { metadata, next } = set.committed(incarnation)
      yield* commit("event-consumer", next, metadata)
      assert.deepStrictEqual(yield* ofEvents, { earliest: 0, end: 5, committed: { next: 1, metadata }, lag: 3 })
      assert.strictEqual((yield* standingOf("result-consumer", 0)).end, 0)
    }).pipe(on),
  )
})
