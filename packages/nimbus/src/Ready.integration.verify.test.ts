/**
 * `/readyz` tells the truth: of a gateway and a pipeline whose Kafka and Redis are killed and come back. `/healthz` says
 * all the while that the processes are alive.
 */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { inject } from "vitest"
import { startServices } from "../../../scripts/services/Services.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"

const { kafka, redis } = inject("services")

/** A Kafka and a Redis for this test alone. */
const own = Effect.acquireRelease(
  Effect.promise(() => startServices(["kafka", "redis"])),
  (services) => Effect.promise(() => services.stop()),
)

const ask = (port: number, path: string) =>
  Effect.promise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return `${response.status} ${(await response.text()).trim()}`
  })

const says = (port: number, answer: string) =>
  eventually(
    `${port} says ${answer}`,
    Effect.map(ask(port, "/readyz"), (said) => said === answer),
    40_000,
  )

describe.skipIf(kafka === undefined || redis === undefined)("/readyz", () => {
  it.live(
    "says what is missing while Redis or Kafka is away, and that nothing is when it is back",
    () =>
      Effect.gen(function* () {
        const services = yield* own
        const cwd = yield* temporaryDirectory
        const env = {
          NIMBUS_KAFKA_BROKERS: services.get("kafka").address,
          NIMBUS_REDIS_ADDRESS: services.get("redis").address,
          NIMBUS_PARTITIONS: "2",
        }
        const [gateway, pipeline] = [yield* freePort, yield* freePort]
        yield* startMember("gateway", gateway, { cwd, env })
        yield* startMember("pipeline", pipeline, { cwd, env })

        const outage = Effect.fnUntraced(function* (
          name: "kafka" | "redis",
          missing: { readonly gateway: string; readonly pipeline: string },
        ) {
          const service = services.get(name)
          yield* Effect.promise(() => service.kill())
          yield* says(gateway, `503 not ready: ${missing.gateway}`)
          yield* says(pipeline, `503 not ready: ${missing.pipeline}`)
          for (const port of [gateway, pipeline]) assert.strictEqual(yield* ask(port, "/healthz"), "200 ok")
          yield* Effect.promise(() => service.start())
          yield* says(gateway, "200 ready")
          yield* says(pipeline, "200 ready")
        })
        yield* outage("redis", { gateway: "mailbox, lease", pipeline: "mailbox, registry" })
        yield* outage("kafka", { gateway: "log", pipeline: "log" })
      }),
    180_000,
  )
})
