/** Clients that acknowledge nothing, killed in the middle of a replay: on embedded parts. */
import { describe, it } from "@effect/vitest"
import { Handlers } from "@nimbus/domain/services"
import { GrpcServer } from "@nimbus/gateway"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import * as Nimbus from "./Nimbus.ts"
import { tellOfKills, transports } from "./testing/killedReader.ts"

const nimbus = Nimbus.layerMemory().pipe(Layer.provide(Handlers.layer(Handlers.samples)))

describe("a client that acknowledges nothing, killed ten times during a replay of 20,000", () => {
  for (const transport of transports) {
    it.live(
      `misses none: ${transport}`,
      () =>
        Effect.gen(function* () {
          const { port } = yield* GrpcServer
          const http = yield* HttpServer.addressFormattedWith((address) =>
            Effect.succeed(Number(new URL(address).port)),
          )
          yield* tellOfKills(transport, () => ({ http, grpc: port }), 20261129)
        }).pipe(Effect.scoped, Effect.provide(nimbus, { local: true })),
      240_000,
    )
  }
})
