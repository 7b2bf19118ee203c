/**
 * Traces across processes: a gateway and a pipeline on real Kafka and Redis export to one receiver, which sees each event
 * as one tree, live and replayed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Client, Memory } from "@nimbus/client"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { inject } from "vitest"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { drawn, receiver, treesOf } from "./testing/OtlpReceiver.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"
import { hasShown, isLive, sendNumbers, show } from "./testing/Squares.ts"

const { kafka, redis } = inject("services")

const cluster = Effect.fnUntraced(function* (otlp: string) {
  const cwd = yield* temporaryDirectory
  const env = {
    ...clusterOfItsOwn("traces"),
    NIMBUS_PORT: "0",
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp,
    NIMBUS_SERVICE_SPANS_PER_SECOND: "1000",
  }
  const http = yield* freePort
  yield* startMember("gateway", http, { cwd, env })
  yield* startMember("pipeline", yield* freePort, { cwd, env })
  return http
})

describe.skipIf(kafka === undefined || redis === undefined)("on Kafka and Redis", () => {
  it.live("a live event and one that waited are a tree each, without a span that has no parent", () =>
    Effect.gen(function* () {
      const { faults, spans, url } = yield* receiver
      const http = yield* cluster(url)
      const ofClient = (clientId: string) =>
        spans.filter(
          ({ attributes, name }) => attributes["nimbus.client_id"] === clientId && name.startsWith("nimbus."),
        )
      const isComplete = (clientId: string, count: number) =>
        eventually(
          `${count} spans of ${clientId}`,
          Effect.sync(() => ofClient(clientId).length === count),
          60_000,
        )
      const connect = Effect.fnUntraced(function* (clientId: string, count: number) {
        const client = yield* Client.make({ url: `ws://127.0.0.1:${http}`, clientId })
        const shown: Array<number> = []
        yield* Effect.forkScoped(show(client, shown))
        yield* isLive(client)
        yield* sendNumbers(client, 1, count)
        yield* hasShown(shown, count)
      })

      yield* connect("live", 1)
      yield* isComplete("live", 4)
      assert.deepStrictEqual(treesOf(ofClient("live")).map(drawn), ["accept(handle(route(deliver)))"])

      const response = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${http}/v1/clients/away/messages`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ name: "note", data: 1 }),
        }),
      )
      assert.strictEqual(response.status, 200)
      yield* isComplete("away", 4)
      const client = yield* Client.make({ url: `ws://127.0.0.1:${http}`, clientId: "away" })
      yield* Effect.forkScoped(client.run(() => Effect.void))
      yield* isComplete("away", 5)
      assert.deepStrictEqual(treesOf(ofClient("away")).map(drawn), ["accept(handle(shelve(put(deliver))))"])

      const services = (clientId: string) => new Set(ofClient(clientId).map(({ service }) => service))
      for (const clientId of ["live", "away"]) {
        assert.deepStrictEqual(services(clientId), new Set(["nimbus-gateway", "nimbus-pipeline"]))
        assert.strictEqual(new Set(ofClient(clientId).map(({ traceId }) => traceId)).size, 1)
      }
      const ofService = (service: string) =>
        new Set(spans.filter((span) => span.service === service).map(({ name }) => name))
      assert.includeMembers([...ofService("nimbus-gateway")], ["EventLog.publish", "Mailbox.page", "Registry.connect"])
      assert.includeMembers([...ofService("nimbus-pipeline")], ["EventLog.read", "Mailbox.put", "PodChannel.publish"])
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.provide(Memory.layerMemory, { local: true })),
  )
})
