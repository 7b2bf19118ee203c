/**
 * What a process tells others of its work, beside its logs: metrics of itself, and traces of the events that it follows
 * (docs/observability.md), by OTLP over HTTP where there is somebody who takes them.
 *
 * Traces are of sampled events alone: spans of Effect's own, of requests and services, are not made. What can't be
 * exported is dropped and hurts nothing.
 */
import { Config, Effect, Layer, Option, References, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import * as ProcessMetrics from "./ProcessMetrics.ts"

const Url = Schema.String.check(
  Schema.makeFilter((text) => /^https?:\/\/[^/]+/.test(text) || "must be a URL, as http://127.0.0.1:4318"),
)

/** Where traces go; OpenTelemetry's own names of these settings are taken too. */
export const config = Config.all({
  url: Config.option(Config.schema(Url, "NIMBUS_OTLP_URL")),
  endpoint: Config.option(Config.schema(Url, "OTEL_EXPORTER_OTLP_ENDPOINT")),
  headers: Config.Record(Schema.StringFromUriComponent, Schema.StringFromUriComponent, "OTEL_EXPORTER_OTLP_HEADERS", {
    trim: true,
  }).pipe(Config.withDefault({})),
  serviceName: Config.option(Config.NonEmptyString("OTEL_SERVICE_NAME")),
}).pipe(
  Config.map(({ endpoint, headers, serviceName, url }) => ({
    url: Option.getOrUndefined(Option.orElse(url, () => endpoint)),
    headers,
    serviceName: Option.getOrUndefined(serviceName),
  })),
)

type Settings = Config.Success<typeof config>

/** `service`: what the process is called in its traces, unless the environment has another name. */
export const layerWith = (service: string, settings: Settings) =>
  Layer.merge(ProcessMetrics.layer, traces(service, settings))

/** The same, as the environment says. */
export const layer = (service: string) => Layer.unwrap(Effect.map(config, (settings) => layerWith(service, settings)))

const traces = (service: string, { headers, serviceName = service, url }: Settings): Layer.Layer<never> => {
  if (url === undefined) return Layer.empty
  return OtlpTracer.layer({
    url: `${url.replace(/\/+$/, "")}/v1/traces`,
    headers,
    exportInterval: "2 seconds",
    resource: { serviceName, attributes: { "service.instance.id": crypto.randomUUID() } },
  }).pipe(
    Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]),
    Layer.merge(Layer.succeed(References.TracerEnabled, false)),
  )
}
