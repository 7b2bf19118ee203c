import { assert, layer } from "@effect/vitest"
import { EventLog, Handlers, Ids, Publisher, Topics } from "@nimbus/domain"
import { Effect, Layer, Stream } from "effect"
import * as Orders from "./Orders.ts"

const services = Layer.mergeAll(Orders.layer, Publisher.layer).pipe(
  Layer.provide(Orders.layerStock({ tea: 2 })),
  Layer.provideMerge(EventLog.layerMemory({ partitions: 2 })),
  Layer.provideMerge(Topics.layerDefault),
)

const ordered = (seq: number, count: number) =>
  Effect.flatMap(Handlers, ({ handle }) =>
    handle({
      clientId: Ids.ClientId.make("ada"),
      seq: Ids.Seq.make(seq),
      event: { type: "event", id: Ids.EventId.make(`e${seq}`), name: "order", data: { item: "tea", count } },
    }),
  )

layer(services)("orders", (it) => {
  it.effect("are answered as clients see it, until there is nothing left", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ordered(1, 2), {
        seq: Ids.Seq.make(1),
        id: Ids.EventId.make("e1"),
        name: "order",
        data: { receipt: "2 of tea, order e1" },
      })
      const refused = yield* ordered(2, 1)
      assert("error" in refused)
      assert.deepStrictEqual(refused.error, { code: "HANDLER_FAILED", message: "there are not 1 of tea" })
    }),
  )

  it.effect("are told of later, by a message in the log", () =>
    Effect.gen(function* () {
      const { seq } = yield* Orders.tellShipped("ada", "tea")
      const log = yield* EventLog.EventLog
      const { events } = yield* Topics
      const ends = yield* Effect.all([log.end(events, 0), log.end(events, 1)])
      const partition = ends.findIndex((end) => end > seq)
      const [chunk] = yield* log.tail(events, partition, seq).pipe(Stream.take(1), Stream.runCollect)
      assert.strictEqual(chunk?.records[0]?.key, "ada")
    }),
  )
})
