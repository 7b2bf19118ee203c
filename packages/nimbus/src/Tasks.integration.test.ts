/** Task workers of a cluster: one is killed, and one joins, while tasks stream. */
import { assert, describe, inject, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"
import { connect, type RawClient } from "./testing/RawClient.ts"

const { kafka, redis } = inject("services")

const words = Array.from({ length: 40 }, (_, i) => `word${i}`)
const clients = 6

/** The words that a client has of its task, in order. */
const wordsOf = (client: RawClient) => client.results().flatMap(({ data, end }) => (end === undefined ? [data] : []))
const endsOf = (client: RawClient) => client.results().flatMap(({ end }) => end ?? [])

describe.skipIf(kafka === undefined || redis === undefined)("the task workers of a cluster", () => {
  it.live("give each word once and in order, and one end, though one of them is killed and another joins", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const env = clusterOfItsOwn("tasks")
      const others = "event-consumer,result-consumer,replay-consumer"
      const worker = Effect.gen(function* () {
        return yield* startMember("pipeline", yield* freePort, { cwd, env: { ...env, NIMBUS_ROLES: "task-worker" } })
      })
      yield* startMember("pipeline", yield* freePort, { cwd, env: { ...env, NIMBUS_ROLES: others } })
      const first = yield* worker
      const port = yield* freePort
      yield* startMember("gateway", port, { cwd, env })
      const all = yield* Effect.forEach(Array.from({ length: clients }), (_, i) =>
        connect(port, `clientId=c${i}&ack=auto`),
      )
      for (const client of all)
        client.send({ type: "event", id: "e1", name: "stream", data: { text: words.join(" "), every_ms: 500 } })
      const has = (what: string, condition: (client: RawClient) => boolean) =>
        eventually(
          what,
          Effect.sync(() => all.every(condition)),
          90_000,
        )
      yield* has("some words of each", (client) => wordsOf(client).length >= 2)
      // It takes some of the partitions over: the others must not notice.
      yield* worker
      yield* has("more words of each", (client) => wordsOf(client).length >= 12)
      yield* first.kill("SIGKILL")
      yield* has("the ends", (client) => endsOf(client).length > 0)
      for (const client of all) {
        assert.strictEqual(wordsOf(client).join(" ").trim().replaceAll(/ +/g, " "), words.join(" "))
        assert.deepStrictEqual(endsOf(client), ["done"])
      }
      const attempts = all.map((client) => Math.max(...client.results().map(({ attempt }) => attempt ?? 0)))
      assert.isAbove(Math.max(...attempts), 1, "nobody had a task of the one that was killed")
    }),
  )
})
