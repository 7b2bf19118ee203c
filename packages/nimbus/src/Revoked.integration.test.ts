/** Two gateways of a cluster: what one is told to let in no more, the other lets in no more within 5 s, nor after kill -9. */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { inject } from "vitest"
import { json } from "./testing/adminStory.ts"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { connectWith, locked, tokenOf } from "./testing/LockedClients.ts"
import { operator } from "./testing/Operator.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"

const { kafka, redis } = inject("services")

describe.skipIf(kafka === undefined || redis === undefined)("two gateways with locks", () => {
  it.live(
    "end a blocked subject's connections at both, within 5 s, and one that was killed lets it in no more",
    () =>
      Effect.gen(function* () {
        const cwd = yield* temporaryDirectory
        const env = { ...clusterOfItsOwn("revoked"), ...locked }
        const [one, other] = [yield* freePort, yield* freePort]
        const start = (port: number) => startMember("gateway", port, { cwd, env })
        yield* start(one)
        const second = yield* start(other)
        const run = operator(env)
        const ask = (port: number, ...args: ReadonlyArray<string>) =>
          run(...args, "--json", "--url", `http://127.0.0.1:${port}`)
        const open = Effect.fnUntraced(function* (port: number, token: string) {
          const socket = yield* connectWith(port, token)
          yield* eventually(
            "it is in, or not",
            Effect.sync(() => socket.isOpen() || socket.closed() !== undefined),
          )
          return socket
        })

        const took_ms: Array<number> = []
        for (const subject of ["s1", "s2", "s3"]) {
          const socket = yield* open(other, tokenOf(subject))
          assert.isTrue(socket.isOpen())
          const begun = performance.now()
          assert.isTrue(json(yield* ask(one, "block", subject)).isNew)
          yield* eventually(
            "the other gateway has ended it",
            Effect.sync(() => socket.closed() !== undefined),
            5_000,
          )
          assert.strictEqual(socket.closed(), 4503)
          took_ms.push(socket.closed_ms() - begun)
        }
        yield* Effect.logInfo(`ended at the other gateway after ${took_ms.map((ms) => ms.toFixed(0)).join(", ")} ms`)

        yield* second.kill("SIGKILL")
        yield* second.ended
        yield* start(other)
        assert.strictEqual((yield* open(other, tokenOf("s1"))).closed(), 4503)
        assert.strictEqual(json(yield* ask(other, "revocations")).count, 3)
        assert.isTrue((yield* open(other, tokenOf("s4"))).isOpen())
        assert.isTrue(json(yield* ask(other, "unblock", "s1")).isNew)
        yield* eventually(
          "the first has heard of it",
          Effect.map(ask(one, "revocations"), (said) => json(said).count === 2),
          5_000,
        )
        assert.isTrue((yield* open(one, tokenOf("s1"))).isOpen())
        yield* eventually(
          "each shows what was done at both",
          Effect.map(ask(one, "audit", "--action", "revoke"), (said) => json(said).entries.length === 4),
        )
      }),
    240_000,
  )
})
