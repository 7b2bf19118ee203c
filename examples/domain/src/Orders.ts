/** A handler with a service of its own behind it, and what tells a customer later. */
import { Handlers, Ids, Publisher } from "@nimbus/domain"
import { Context, Effect, Layer, Schema } from "effect"

export class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { message: Schema.String }) {}

/** What is in stock. */
export class Stock extends Context.Service<
  Stock,
  { take(item: string, count: number): Effect.Effect<void, SoldOut> }
>()("example/Stock") {}

const order = Handlers.make("order", {
  input: Schema.Struct({ item: Schema.NonEmptyString, count: Schema.Int.check(Schema.isGreaterThan(0)) }),
  output: Schema.Struct({ receipt: Schema.String }),
  handler: ({ count, item }, { eventId }) =>
    Effect.gen(function* () {
      const stock = yield* Stock
      yield* stock.take(item, count)
      return { receipt: `${count} of ${item}, order ${eventId}` }
    }),
})

export const layer = Handlers.layer([order])

/** Tells a customer, connected or not, in the order of what the customer gets. */
export const tellShipped = Effect.fn("tellShipped")(function* (customer: string, item: string) {
  const publisher = yield* Publisher
  return yield* publisher.send(Ids.ClientId.make(customer), { name: "shipped", data: { item } })
})

/** As much as there is, for tests. */
export const layerStock = (items: Readonly<Record<string, number>>) =>
  Layer.sync(Stock, () => {
    const left = new Map(Object.entries(items))
    return {
      take: (item, count) =>
        Effect.suspend(() => {
          const there = left.get(item) ?? 0
          if (there < count) return Effect.fail(new SoldOut({ message: `there are not ${count} of ${item}` }))
          left.set(item, there - count)
          return Effect.void
        }),
    }
  })
