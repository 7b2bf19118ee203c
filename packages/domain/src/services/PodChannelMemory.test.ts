import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ClientId, PodId } from "../protocol/Ids.ts"
import { layerMemory, makeMemory } from "./PodChannelMemory.ts"
import { MailboxHint, type PodMessage } from "../protocol/Records.ts"
import { podChannelSuite } from "../testing/PodChannelSuite.ts"

podChannelSuite("in memory", layerMemory())

describe("PodChannelMemory", () => {
  it.effect("hands a publish over as the array that it is", () =>
    Effect.gen(function* () {
      const channel = makeMemory()
      const batches = yield* channel.subscribe(pod)
      const published = mails(3)
      yield* channel.publish(pod, published)
      const [received] = yield* Stream.runCollect(Stream.take(batches, 1))
      assert.strictEqual(received, published)
    }),
  )

  it.effect("gives everything that waits as one array, in order", () =>
    Effect.gen(function* () {
      const channel = makeMemory()
      const batches = yield* channel.subscribe(pod)
      const published = [mails(2), mails(1), mails(3)]
      for (const batch of published) yield* channel.publish(pod, batch)
      const [received] = yield* Stream.runCollect(Stream.take(batches, 1))
      assert.deepStrictEqual(received, published.flat())
    }),
  )

  it.effect("loses whole publishes beyond its bound, says so, and takes publishes again once read", () =>
    Effect.gen(function* () {
      const channel = makeMemory({ waiting_messages: 4 })
      const batches = yield* channel.subscribe(pod)
      const answers = yield* Effect.forEach([3, 2, 1, 1], (size) => channel.publish(pod, mails(size)))
      assert.deepStrictEqual(answers, [true, false, true, false])
      const [received] = yield* Stream.runCollect(Stream.take(batches, 1))
      assert.strictEqual(received?.length, 4)
      assert.isTrue(yield* channel.publish(pod, mails(4)))
    }),
  )

  it.effect("takes a publish larger than the bound when nothing waits, and nothing more", () =>
    Effect.gen(function* () {
      const channel = makeMemory({ waiting_messages: 4 })
      yield* channel.subscribe(pod)
      assert.isTrue(yield* channel.publish(pod, mails(5)))
      assert.isFalse(yield* channel.publish(pod, mails(1)))
    }),
  )

  it.effect("a publish was received if one of several subscribers had room", () =>
    Effect.gen(function* () {
      const channel = makeMemory({ waiting_messages: 1 })
      yield* channel.subscribe(pod)
      yield* channel.publish(pod, mails(1))
      yield* channel.subscribe(pod)
      assert.isTrue(yield* channel.publish(pod, mails(1)))
      assert.isFalse(yield* channel.publish(pod, mails(1)))
    }),
  )

  it.effect("an empty publish wakes nobody", () =>
    Effect.gen(function* () {
      const channel = makeMemory()
      const batches = yield* channel.subscribe(pod)
      yield* channel.publish(pod, [])
      yield* channel.publish(pod, mails(1))
      const [received] = yield* Stream.runCollect(Stream.take(batches, 1))
      assert.strictEqual(received?.length, 1)
    }),
  )
})

const pod = PodId.make("p1")
const mails = (n: number): ReadonlyArray<PodMessage> =>
  Array.from({ length: n }, (_, i) => MailboxHint.make({ clientId: ClientId.make(`c${i}`) }))
