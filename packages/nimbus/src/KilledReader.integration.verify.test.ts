/** The same on Kafka and Redis, from one gateway to the other. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { tellOfKills, transports } from "./testing/killedReader.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"

const { kafka, redis } = inject("services")

describe.skipIf(kafka === undefined || redis === undefined)("on Kafka and Redis", () => {
  for (const transport of transports) {
    it.live(
      `a client that acknowledges nothing, killed ten times during a replay of 20,000, misses none: ${transport}`,
      () =>
        Effect.gen(function* () {
          const surroundings = { cwd: yield* temporaryDirectory, env: clusterOfItsOwn("killed") }
          const places = [
            { http: yield* freePort, grpc: yield* freePort },
            { http: yield* freePort, grpc: yield* freePort },
          ] as const
          // One after the other: the first creates the topics.
          for (const { grpc, http } of places) {
            const env = { ...surroundings.env, NIMBUS_PORT: `${grpc}` }
            yield* startMember("gateway", http, { ...surroundings, env })
          }
          yield* startMember("pipeline", yield* freePort, surroundings)
          let at = 0
          yield* tellOfKills(transport, () => places[(at = 1 - at)]!, 20261129)
        }).pipe(Effect.scoped),
      240_000,
    )
  }
})
