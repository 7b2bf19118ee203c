/**
 * Attacks on a client at one gateway of a cluster by way of another one: a stranger neither supersedes it, acknowledges for
 * it nor comes in with a token that the first was told to let in no more, also after kill -9. The client is unharmed.
 */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { inject } from "vitest"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { adminToken, locked, tokenOf } from "./testing/LockedClients.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"
import type { Place } from "./testing/locks/Attempt.ts"
import { honest } from "./testing/locks/Honest.ts"
import { ask, call, knock, streams } from "./testing/locks/Strangers.ts"

const { kafka, redis } = inject("services")

/** All at once: those that wait for their turn may make way for a newer one of the same stranger, and all others hear it. */
const expectEach = Effect.fnUntraced(function* (count: number, attempt: () => Promise<string>, outcome: string) {
  const outcomes = yield* Effect.promise(() => Promise.all(Array.from({ length: count }, attempt)))
  const heard = new Set(outcomes.map((one) => (madeWay.has(one) ? outcome : one)))
  assert.deepStrictEqual([[...heard], outcomes.includes(outcome)], [[outcome], true])
})

const madeWay = new Set(["no code 4500", "SUPERSEDED"])

describe.skipIf(kafka === undefined || redis === undefined)("a cluster with locks", () => {
  it.live(
    "refuses at another gateway whoever is not the client, and it is unharmed at its own",
    () =>
      Effect.gen(function* () {
        const cwd = yield* temporaryDirectory
        const env = { ...clusterOfItsOwn("attacked"), ...locked }
        yield* startMember("pipeline", yield* freePort, { cwd, env })
        const start = Effect.fnUntraced(function* (place: Place) {
          return yield* startMember("gateway", place.http, { cwd, env: { ...env, NIMBUS_PORT: `${place.grpc}` } })
        })
        const one = { http: yield* freePort, grpc: yield* freePort }
        const other = { http: yield* freePort, grpc: yield* freePort }
        yield* start(one)
        const second = yield* start(other)
        const alice = yield* honest(`ws://127.0.0.1:${one.http}`, "alice")

        const token = tokenOf("mallory", { jti: "stolen", nimbus: ["connect:alice", "connect:{sub}", "read", "ack"] })
        const plain = tokenOf("mallory")
        const supersede = Effect.gen(function* () {
          for (const path of streams) {
            yield* expectEach(10, () => knock(other, path, "clientId=alice", { token }), "CLIENT_IN_USE 4505")
            yield* expectEach(3, () => knock(other, path, "clientId=alice&after=9", { token: plain }), "FORBIDDEN 4504")
          }
          yield* expectEach(10, () => call(other, "alice", { token }), "CLIENT_IN_USE")
        })
        yield* alice.unharmedBy(supersede)

        const order = { issuer: locked.NIMBUS_AUTH_ISSUER, tokenId: "stolen" }
        const { status } = yield* Effect.promise(() => ask(one, "/v1/admin/revocations", { token: adminToken }, order))
        assert.strictEqual(status, 200)
        const isRefused = Effect.map(
          Effect.promise(() => knock(other, "/v1/stream", "", { token })),
          (outcome) => outcome === "TOKEN_REVOKED 4503",
        )
        yield* alice.unharmedBy(eventually("the other gateway has heard of it", isRefused, 5_000))
        yield* second.kill("SIGKILL")
        yield* second.ended
        yield* start(other)
        const again = Effect.gen(function* () {
          for (const path of streams)
            yield* expectEach(3, () => knock(other, path, "", { token }), "TOKEN_REVOKED 4503")
          yield* expectEach(3, () => call(other, "mallory", { token }), "TOKEN_REVOKED")
          yield* expectEach(3, () => knock(other, "/v1/stream", "", { token: plain }), "welcome mallory")
        })
        yield* alice.unharmedBy(again)
      }),
    240_000,
  )
})
