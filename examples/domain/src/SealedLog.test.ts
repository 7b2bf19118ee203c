import { assert, describe, it } from "@effect/vitest"
import { EventLog } from "@nimbus/domain"
import { eventLogSuite } from "@nimbus/domain/testing"
import { Effect, Layer, Stream } from "effect"
import * as SealedLog from "./SealedLog.ts"

const key = new Uint8Array(32).fill(7)

eventLogSuite("sealed", {
  layer: ({ partitions, retention, topics }) =>
    SealedLog.layer(key).pipe(
      Layer.provide(EventLog.layerMemoryWith({ topics, partitions, retentionByTopic: retention })),
    ),
})

const below = EventLog.layerMemoryWith({ topics: ["t"], partitions: 1 })

describe("SealedLog", () => {
  it.effect("keeps what is sealed with another key as a record that says so, and reads on", () =>
    Effect.gen(function* () {
      const log = yield* EventLog.EventLog
      const sealed = Effect.provide(EventLog.EventLog, SealedLog.layer(key), { local: true })
      yield* log.publish("t", 0, [{ key: "k", value: new Uint8Array(40) }])
      yield* (yield* sealed).publish("t", 0, [{ key: "k", value: Uint8Array.of(1, 2) }])
      const chunks = yield* (yield* sealed).tail("t", 0, 0).pipe(
        Stream.takeUntil(({ next }) => next === 2),
        Stream.runCollect,
      )
      const [strange, ours] = chunks.flatMap(({ records }) => records)
      assert.include(strange?.unreadable, "not sealed with this key")
      assert.deepStrictEqual(Array.from(ours?.value ?? []), [1, 2])
    }).pipe(Effect.provide(below)),
  )
})
