/** What operators ask a pipeline process: alive, ready, and the metrics. */
import { Alarms, EventLog, Mailbox, notReady, Registry, Topics } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"

/** Where it listens. */
export const config = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("NIMBUS_PIPELINE_HTTP_PORT").pipe(Config.withDefault(3001)),
})

const alive = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n"))

/**
 * What is missing to be ready: the log, the registry and the mailboxes answer, and there is no fault that an operator has
 * to put right first.
 */
export const missing = Effect.gen(function* () {
  const log = yield* EventLog
  const { events } = yield* Topics
  const parts = yield* notReady({
    log: Effect.as(log.end(events, 0), true),
    mailbox: Effect.as((yield* Mailbox).offset(0), true),
    registry: Effect.as((yield* Registry).livePods, true),
  })
  return [...parts, ...(yield* (yield* Alarms).blocking)]
})

const ready = HttpRouter.add(
  "GET",
  "/readyz",
  Effect.map(missing, (missing) =>
    missing.length === 0
      ? HttpServerResponse.text("ready\n")
      : HttpServerResponse.text(`not ready: ${missing.join(", ")}\n`, { status: 503 }),
  ),
)

export const layer = Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: "/metrics" }))
