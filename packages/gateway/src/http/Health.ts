/** What operators and load balancers ask: alive, ready, and the metrics. */
import { EventLog, Mailbox, notReady, Registry, Topics } from "@nimbus/domain"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { Delivery } from "../delivery/Delivery.ts"

const alive = HttpRouter.add("GET", "/healthz", HttpServerResponse.text("ok\n"))

/** Ready: the log, the registry and the mailboxes answer, and the registry knows this pod's lease. */
const ready = HttpRouter.add(
  "GET",
  "/readyz",
  Effect.gen(function* () {
    const log = yield* EventLog
    const { events } = yield* Topics
    const { pod } = yield* Delivery
    const missing = yield* notReady({
      log: Effect.as(log.end(events, 0), true),
      mailbox: Effect.as((yield* Mailbox).offset(0), true),
      lease: Effect.map((yield* Registry).livePods, (pods) => pods.includes(pod)),
    })
    return missing.length === 0
      ? HttpServerResponse.text("ready\n")
      : HttpServerResponse.text(`not ready: ${missing.join(", ")}\n`, { status: 503 })
  }),
)

export const layer = Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: "/metrics" }))
