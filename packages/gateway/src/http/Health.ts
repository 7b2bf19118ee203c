/** What operators and load balancers ask: alive, ready, and the metrics. */
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { EventLog, Mailbox, Registry, Topics } from "@nimbus/domain"
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
    const checks: Record<string, Effect.Effect<boolean, unknown>> = {
      log: Effect.as(log.end(events, 0), true),
      mailbox: Effect.as((yield* Mailbox).offset(0), true),
      lease: Effect.map((yield* Registry).livePods, (pods) => pods.includes(pod)),
    }
    const results = yield* Effect.all(
      Object.entries(checks).map(([part, check]) =>
        Effect.match(Effect.timeout(check, "2 seconds"), {
          onSuccess: (isReady) => ({ part, isReady }),
          onFailure: () => ({ part, isReady: false }),
        }),
      ),
      { concurrency: "unbounded" },
    )
    const notReady = results.filter(({ isReady }) => !isReady).map(({ part }) => part)
    return notReady.length === 0
      ? HttpServerResponse.text("ready\n")
      : HttpServerResponse.text(`not ready: ${notReady.join(", ")}\n`, { status: 503 })
  }),
)

export const layer = Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: "/metrics" }))
