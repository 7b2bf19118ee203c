/** What operators and load balancers ask: alive, ready, and the metrics. */
import { endpoints } from "@nimbus/domain/http"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { missing } from "../delivery/Ready.ts"

const alive = HttpRouter.add("GET", endpoints.healthz.path, HttpServerResponse.text("ok\n"))

const ready = HttpRouter.add(
  "GET",
  endpoints.readyz.path,
  Effect.map(missing, (missing) =>
    missing.length === 0
      ? HttpServerResponse.text("ready\n")
      : HttpServerResponse.text(`not ready: ${missing.join(", ")}\n`, { status: 503 }),
  ),
)

export const layer = Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: endpoints.metrics.path }))
