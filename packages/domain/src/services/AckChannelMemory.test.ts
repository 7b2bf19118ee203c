import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { layerMemory, makeMemory } from "./AckChannelMemory.ts"
import { ClientId, RouteId } from "../protocol/Ids.ts"
import { type AckMessage, Nack } from "../protocol/Records.ts"
import { ackChannelSuite } from "../testing/AckChannelSuite.ts"

ackChannelSuite("in memory", layerMemory())

describe("AckChannelMemory", () => {
  it.effect("a subscriber at its bound loses whole publishes, and the other subscriber none", () =>
    Effect.gen(function* () {
      const channel = makeMemory({ waiting_messages: 3 })
      const behind = yield* channel.subscribe(0)
      const first = nacks(2)
      yield* channel.publish(0, first)
      const fresh = yield* channel.subscribe(0)
      const second = nacks(2)
      yield* channel.publish(0, second)
      assert.deepStrictEqual(yield* next(behind), [first])
      assert.deepStrictEqual(yield* next(fresh), [second])
    }),
  )
})

const next = <A, E>(batches: Stream.Stream<A, E>) => Stream.runCollect(Stream.take(batches, 1))
const nacks = (n: number): ReadonlyArray<AckMessage> =>
  Array.from({ length: n }, (_, i) => Nack.make({ clientId: ClientId.make(`c${i}`), route: RouteId.make("r.1") }))
