/** What load balancers and scrapers ask: alive, ready, and the metrics. */
import { endpoints } from "@nimbus/domain/http"
import { Alarms, readyText } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import * as Authorized from "../admin/Authorized.ts"
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

export const layer = Layer.merge(alive, ready)

/** For everybody. */
export const metrics = PrometheusMetrics.layerHttp({ path: endpoints.metrics.path })

/** Where there are locks: for a viewer, as the admin API has it. */
export const metricsForViewers = HttpRouter.add(
  "GET",
  endpoints.metrics.path,
  Authorized.asking(
    "viewer",
    "metrics",
    Effect.map(PrometheusMetrics.format(), (text) =>
      HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" }),
    ),
  ),
)
