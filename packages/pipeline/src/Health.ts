/**
 * What operators ask a pipeline process: alive, ready, and the metrics. It answers from the moment it listens, also while
 * the services are waited for that the process stands on; then it is alive, and not ready.
 *
 *     layer, answers by Readiness ◀── checked, which asks the services for as long as they are there
 */
import { PodId } from "@nimbus/domain/protocol"
import {
  Alarms,
  beMember,
  EventLog,
  Mailbox,
  notReady,
  reachableAt,
  readyText,
  Registry,
  Topics,
} from "@nimbus/domain/services"
import { Config, Context, Effect, Layer, Ref, Schedule } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { Instance } from "./Instance.ts"

/** Where it listens. */
export const config = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("NIMBUS_PIPELINE_HTTP_PORT").pipe(Config.withDefault(3001)),
})

/** What is missing to be ready. */
type Missing = Effect.Effect<ReadonlyArray<string>>

const notThere: Missing = Effect.succeed(["starting or stopping"])

/** How to learn whether the process is ready. */
export class Readiness extends Context.Service<Readiness, Ref.Ref<Missing>>()("@nimbus/pipeline/Readiness") {
  static readonly layer = Layer.effect(Readiness, Ref.make(notThere))
}

const alive = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n"))

const ready = HttpRouter.add(
  "GET",
  "/readyz",
  Effect.gen(function* () {
    const missing = yield* Effect.flatten(Ref.get(yield* Readiness))
    const text = readyText(missing, yield* (yield* Alarms).warnings)
    return HttpServerResponse.text(text, { status: missing.length === 0 ? 200 : 503 })
  }),
)

/** Serves `/healthz`, `/readyz` and `/metrics`. */
export const layer = HttpRouter.serve(Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: "/metrics" })), {
  disableLogger: true,
  disableListenLog: true,
})

/** Between two looks whether the process is ready. */
const look_ms = 250

/** Says to operators that this process is there, and what it does; `host`: the name of the machine or container. */
export const announced = (role: string, host: string) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const address = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
      yield* beMember({ id: PodId.make(yield* Instance), host, address: reachableAt(address, host), role })
    }),
  )

/**
 * Ready: the log, the registry and the mailboxes answer, and there is no fault that an operator has to put right first.
 * One line in the log says so when it is for the first time.
 */
export const checked = Layer.effectDiscard(
  Effect.gen(function* () {
    const log = yield* EventLog
    const { events } = yield* Topics
    const mailbox = yield* Mailbox
    const registry = yield* Registry
    const alarms = yield* Alarms
    const missing: Missing = Effect.gen(function* () {
      const parts = yield* notReady({
        log: Effect.as(log.end(events, 0), true),
        mailbox: Effect.as(mailbox.offset(0), true),
        registry: Effect.as(registry.livePods, true),
      })
      return [...parts, ...(yield* alarms.blocking)]
    })
    const readiness = yield* Readiness
    yield* Effect.acquireRelease(Ref.set(readiness, missing), () => Ref.set(readiness, notThere))
    const http = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
    yield* missing.pipe(
      Effect.repeat({ until: (parts) => parts.length === 0, schedule: Schedule.spaced(look_ms) }),
      Effect.andThen(Effect.logInfo(`ready: health and metrics on ${http}`)),
      Effect.forkScoped,
    )
  }),
)
