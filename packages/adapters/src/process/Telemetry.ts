/**
 * The metrics of a process, and the traces of sampled events and of calls to its services (docs/observability.md),
 * which are exported by OTLP over HTTP if there is a receiver.
 *
 * Other spans of Effect, such as those of requests, are created only below one of these. Spans that can't be exported
 * are dropped without further effect.
 */
import { serviceSpanLimits } from "@nimbus/domain/limits"
import { SpansPerSecond } from "@nimbus/domain/observability"
import { Config, Effect, Layer, Option, Random, References, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import * as ProcessMetrics from "./ProcessMetrics.ts"

const Url = Schema.String.check(
  Schema.makeFilter((text) => /^https?:\/\/[^/]+/.test(text) || "must be a URL, as http://127.0.0.1:4318"),
)

/** The receiver of traces. The names of OpenTelemetry for these settings work too. */
export const config = Config.all({
  url: Config.option(Config.schema(Url, "NIMBUS_OTLP_URL")),
  endpoint: Config.option(Config.schema(Url, "OTEL_EXPORTER_OTLP_ENDPOINT")),
  headers: Config.Record(Schema.StringFromUriComponent, Schema.StringFromUriComponent, "OTEL_EXPORTER_OTLP_HEADERS", {
    trim: true,
  }).pipe(Config.withDefault({})),
  serviceName: Config.option(Config.NonEmptyString("OTEL_SERVICE_NAME")),
  spans_per_second: Config.schema(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
    "NIMBUS_SERVICE_SPANS_PER_SECOND",
  ).pipe(Config.withDefault(serviceSpanLimits.spans_per_second)),
}).pipe(
  Config.map(({ endpoint, headers, serviceName, spans_per_second, url }) => ({
    url: Option.getOrUndefined(Option.orElse(url, () => endpoint)),
    headers,
    serviceName: Option.getOrUndefined(serviceName),
    spans_per_second,
  })),
)

type Settings = Omit<Config.Success<typeof config>, "spans_per_second"> & {
  /** Default: no spans for calls to services. */
  readonly spans_per_second?: number
}

/** `service` is the name of the process in its traces, unless the environment has another name. */
export const layerWith = (service: string, settings: Settings) =>
  Layer.merge(ProcessMetrics.layer, traces(service, settings))

/** The same, configured by the environment. */
export const layer = (service: string) => Layer.unwrap(Effect.map(config, (settings) => layerWith(service, settings)))

const traces = (
  service: string,
  { headers, serviceName = service, spans_per_second = serviceSpanLimits.spans_per_second, url }: Settings,
): Layer.Layer<never> => {
  if (url === undefined) return Layer.empty
  const tracer = (id: string) =>
    OtlpTracer.layer({
      url: `${url.replace(/\/+$/, "")}/v1/traces`,
      headers,
      exportInterval: "2 seconds",
      resource: { serviceName, attributes: { "service.instance.id": id } },
    })
  return Layer.unwrap(Effect.map(instanceId, tracer)).pipe(
    Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]),
    Layer.merge(Layer.succeed(References.TracerEnabled, false)),
    Layer.merge(Layer.succeed(SpansPerSecond, spans_per_second)),
  )
}

/** 48 random bits, as 12 hexadecimal digits. */
const instanceId = Effect.map(Random.nextIntBetween(0, 2 ** 48), (n) => n.toString(16).padStart(12, "0"))
