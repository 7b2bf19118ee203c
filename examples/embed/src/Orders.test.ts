import { assert, layer as withLayer } from "@effect/vitest"
import { Effect } from "effect"
import { layer, orderAs } from "./Orders.ts"

withLayer(layer, { excludeTestServices: true })("the embedding example", (it) => {
  it.effect("answers an order with a receipt", () =>
    Effect.gen(function* () {
      const { data, id } = yield* orderAs("ada", "tea", 2)
      assert.deepStrictEqual(data, { receipt: `2 of tea, order ${id}` })
    }),
  )

  it.effect("tells the client why an order failed", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(orderAs("ada", "tea", 101))
      assert(failed._tag === "EventFailed")
      assert.deepStrictEqual(failed.failure, { code: "HANDLER_FAILED", message: "there are not 101 of tea" })
    }),
  )
})
