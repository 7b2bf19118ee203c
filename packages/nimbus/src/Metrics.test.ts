/** What `/metrics` says of a process that is all of Nimbus, after some traffic: well formed, by convention, and true. */
import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Telemetry } from "@nimbus/adapters/process"
import { Client, Memory } from "@nimbus/client"
import { Handlers } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer, Metric } from "effect"
import * as Nimbus from "./Nimbus.ts"
import { type Family, lint, parse } from "./testing/PrometheusText.ts"
import { hasShown, isLive, sendNumbers, show } from "./testing/Squares.ts"

const nimbus = Nimbus.layerMemory().pipe(
  Layer.provide(Handlers.layer(Handlers.samples)),
  Layer.provideMerge(Memory.layerMemory),
  Layer.provide(Telemetry.layerWith("test", { url: undefined, headers: {}, serviceName: undefined })),
)

/** The metrics are those of the test alone. */
const test = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(nimbus, { local: true }), Effect.provideService(Metric.MetricRegistry, new Map()))

const scrape = Effect.gen(function* () {
  const url = (yield* Nimbus.url).replace(/^ws/, "http")
  return yield* Effect.promise(async () => (await fetch(`${url}/metrics`)).text())
})

const valueOf = (families: ReadonlyArray<Family>, name: string, labels: Readonly<Record<string, string>> = {}) =>
  families
    .flatMap(({ samples }) => samples)
    .filter((one) => one.name === name && Object.entries(labels).every(([label, of]) => one.labels[label] === of))
    .reduce((sum, { value }) => sum + value, 0)

const events = 300

/** The text, once it has counted everything. */
const afterTraffic = Effect.gen(function* () {
  const client = yield* Client.make({ url: yield* Nimbus.url, clientId: "c1" })
  const shown: Array<number> = []
  yield* Effect.forkScoped(show(client, shown))
  yield* isLive(client)
  yield* sendNumbers(client, 1, events)
  yield* hasShown(shown, events)
  let text = ""
  yield* eventually(
    "everything is counted",
    Effect.map(scrape, (now) => {
      text = now
      return valueOf(parse(text), "nimbus_gateway_results_delivered_total") === events
    }),
  )
  return text
})

describe("/metrics", () => {
  it.live("is well formed, and named by convention", () =>
    test(
      Effect.gen(function* () {
        const families = parse(yield* afterTraffic)
        assert.isAbove(families.length, 15)
        assert.deepStrictEqual(lint(families), [])
      }),
    ),
  )

  it.live("says what happened", () =>
    test(
      Effect.gen(function* () {
        const families = parse(yield* afterTraffic)
        const has = (name: string, labels?: Readonly<Record<string, string>>) => valueOf(families, name, labels)
        assert.strictEqual(has("nimbus_gateway_events_accepted_total"), events)
        assert.strictEqual(has("nimbus_gateway_results_delivered_total", { door: "/v1/stream" }), events)
        assert.strictEqual(has("nimbus_gateway_sessions", { door: "/v1/stream" }), 1)
        assert.strictEqual(has("nimbus_gateway_handover_seconds_count"), 1)
        assert.isAbove(has("nimbus_gateway_accept_seconds_count"), 0)
        const sampled = has("nimbus_gateway_journeys_total")
        assert.isAbove(sampled, 0)
        assert.isBelow(sampled, events)
        assert.strictEqual(has("nimbus_gateway_result_latency_seconds_count"), sampled)
        assert.isAbove(has("process_resident_memory_bytes"), 10e6)
        assert.closeTo(has("process_start_time_seconds"), performance.timeOrigin / 1000, 1)
        assert.isAbove(has("process_cpu_seconds_total"), 0)
      }),
    ),
  )

  it.live("has the latency of results whose client was LIVE, and of none that waited for its client", () =>
    test(
      Effect.gen(function* () {
        const url = yield* Nimbus.url
        const post = (number: number) =>
          Effect.promise(async () => {
            const headers = { "content-type": "application/json" }
            const body = JSON.stringify({ name: "sq", data: { number } })
            const path = url.replace(/^ws/, "http")
            const answer = await fetch(`${path}/v1/clients/c1/messages`, { method: "POST", headers, body })
            assert.strictEqual(answer.status, 200, await answer.text())
          })
        yield* post(1)
        const client = yield* Client.make({ url, clientId: "c1" })
        const shown: Array<number> = []
        yield* Effect.forkScoped(show(client, shown))
        yield* isLive(client)
        yield* hasShown(shown, 1)
        yield* post(2)
        yield* hasShown(shown, 2)
        let families: ReadonlyArray<Family> = []
        yield* eventually(
          "everything is counted",
          Effect.map(scrape, (text) => {
            families = parse(text)
            return valueOf(families, "nimbus_gateway_results_delivered_total") === 2
          }),
        )
        assert.strictEqual(valueOf(families, "nimbus_gateway_results_replayed_total"), 1)
        assert.strictEqual(valueOf(families, "nimbus_gateway_result_latency_seconds_count"), 1)
      }),
    ),
  )

  it.live.skipIf(spawnSync("promtool", ["--version"]).error !== undefined)("is what promtool accepts", () =>
    test(
      Effect.gen(function* () {
        const { status, stderr, stdout } = spawnSync("promtool", ["check", "metrics"], { input: yield* afterTraffic })
        assert.strictEqual(`${String(stdout)}${String(stderr)}`, "")
        assert.strictEqual(status, 0)
      }),
    ),
  )
})

describe("the lint of metrics", () => {
  const family = (text: string) => lint(parse(text))

  it.each([
    ["# TYPE a_total counter\na_total 1\n", "a_total: has no help"],
    ["# HELP a b\n# TYPE a counter\na 1\n", "a: is a counter and does not end in _total"],
    ["# HELP a_ms b\n# TYPE a_ms gauge\na_ms 1\n", "a_ms: has a unit that is no base unit"],
    [`# HELP a b\n# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n`, "a: has two samples of the same labels"],
    [
      `# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n`,
      "a: has buckets that do not add up",
    ],
  ])("finds what is wrong with %j", (text, wrong) => {
    assert.deepStrictEqual(family(text), [wrong])
  })

  it.each(["a 1\n", "# TYPE a gauge\na{x=1} 1\n", "# TYPE a gauge\na one\n", "# TYPE a gauge\na{x} 1\n"])(
    "does not take %j",
    (text) => {
      assert.throws(() => parse(text))
    },
  )
})
