/** A service with a typed event of its own, and one client of it, all in this process and in memory. */
import { Client, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain"
import { Effect, Layer, Schema } from "effect"
import { Nimbus } from "@nimbus/server"

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { message: Schema.String }) {}

const order = Handlers.make("order", {
  input: Schema.Struct({ item: Schema.NonEmptyString, count: Schema.Int.check(Schema.isGreaterThan(0)) }),
  output: Schema.Struct({ receipt: Schema.String }),
  handler: ({ count, item }, { eventId }) =>
    count > 100
      ? Effect.fail(new SoldOut({ message: `there are not ${count} of ${item}` }))
      : Effect.succeed({ receipt: `${count} of ${item}, order ${eventId}` }),
})

/** Nimbus with this handler, on a free port. */
export const layer = Nimbus.layerMemory().pipe(Layer.provideMerge(Handlers.layer([order])))

/** Orders something as the client `customer`, and returns what came back. */
export const orderAs = Effect.fn("orderAs")(
  function* (customer: string, item: string, count: number) {
    const client = yield* Client.make({ url: yield* Nimbus.url, clientId: customer })
    yield* Effect.forkScoped(client.run(() => Effect.void))
    return yield* client.request("order", { item, count })
  },
  Effect.provide(Memory.layerMemory),
  Effect.scoped,
)
