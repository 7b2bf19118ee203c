/** What operators and load balancers ask: alive, ready, and the metrics. */
import { endpoints } from "@nimbus/domain/http"
import { Alarms, readyText } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { missing } from "../delivery/Ready.ts"

const alive = HttpRouter.add("GET", endpoints.healthz.path, HttpServerResponse.text("ok\n"))

const ready = HttpRouter.add(
  "GET",
  endpoints.readyz.path,
  Effect.gen(function* () {
    const parts = yield* missing
    const text = readyText(parts, yield* (yield* Alarms).warnings)
    return HttpServerResponse.text(text, { status: parts.length === 0 ? 200 : 503 })
  }),
)

export const layer = Layer.mergeAll(alive, ready, PrometheusMetrics.layerHttp({ path: endpoints.metrics.path }))
