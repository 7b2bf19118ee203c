/** The gRPC door on the whole of Nimbus: events in, results out, and what was missed first after a disconnect. */
import { assert, describe, it } from "@effect/vitest"
import { Handlers } from "@nimbus/domain"
import { GrpcServer } from "@nimbus/gateway"
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect, Layer } from "effect"
import * as Embedded from "./Embedded.ts"

const nimbus = Embedded.layerMemory().pipe(Layer.provide(Handlers.layer(Handlers.samples)))

const call = Effect.fnUntraced(function* (metadata: Readonly<Record<string, string>>) {
  const { port } = yield* GrpcServer
  return yield* GrpcClient.connect({ port, metadata })
})

describe("gRPC on the whole of Nimbus", () => {
  it.live("answers events in order", () =>
    Effect.gen(function* () {
      const client = yield* call({ client_id: "c1" })
      client.square(1, 2, 3, 7)
      yield* client.hasResults(4)
      assert.deepStrictEqual(
        client.results().map(({ eventName, number, result }) => [eventName, number, result]),
        [
          ["sq", 1, 1],
          ["sq", 2, 4],
          ["sq", 3, 9],
          ["sq", 7, 49],
        ],
      )
    }).pipe(Effect.provide(nimbus)),
  )
})
