/**
 * The trace of a sampled event across processes: a *hop* is the span of what one part does with its record, the child
 * of the hop before, which the record header `traceparent` (W3C Trace Context) names.
 *
 * ```
 *   accept ──▶ handle ──▶ route ──────────────────▶ deliver, until the client acknowledged it
 *                  │  └──▶ divert ─┐
 *                  └─────▶ shelve ─┴──▶ put ──▶ deliver
 * ```
 *
 * Hops are spans of the `Tracer` in the environment, begun and ended by hand, for records come in chunks. Where that is
 * the native one, which exports nothing, there are none, and a `traceparent` that came from outside is passed on as it
 * is. The caller that begins a hop ends it in every case: a span that is never ended is never exported, and leaves its
 * children without a parent.
 */
import { Clock, Context, Effect, Exit, Option, Tracer } from "effect"
import * as HttpHeaders from "effect/http/Headers"
import { w3c } from "effect/http/HttpTraceContext"
import type { Headers } from "../protocol/Records.ts"

/** The record header that names the span before, as W3C Trace Context has it. */
export const header = "traceparent"

/** What a part does with its record. */
export type HopName = "accept" | "handle" | "route" | "divert" | "shelve" | "put" | "deliver"

/** What a hop is about. */
export interface HopOptions {
  readonly clientId: string
  /** Those that came with the record: they name the hop before. Without, this is the first. */
  readonly from: Headers | undefined
  /** The details of its step. */
  readonly details: Readonly<Record<string, string>> | undefined
}

/** The span of an event at one place. */
export interface Hop {
  /** For the record from here on: the next hop is a child of this one. */
  readonly headers: Headers
  /** It is done; or, with a failure, it came to nothing. */
  end(exit?: Exit.Exit<unknown, unknown>): void
}

/** The hops of a chunk: they begin when the chunk did, and end together. */
export interface Hops {
  /** The headers for the record from here on. `undefined`: nobody traces. */
  begin(name: HopName, options: HopOptions): Headers | undefined
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** Begins the spans of records. */
export interface Trace {
  /** Begins now. `undefined`: nobody traces. */
  begin(name: HopName, options: HopOptions): Hop | undefined
  chunk(): Hops
}

/** By the `Tracer` of the environment. */
export const make: Effect.Effect<Trace> = Effect.gen(function* () {
  const tracer = yield* Tracer.Tracer
  return tracer === Tracer.nativeTracer ? none : makeTrace(tracer, yield* Clock.Clock)
})

/** The headers that name a span: what follows under them is its child. */
export const headersOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): Headers => ({
  [header]: `00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`,
})

/** What to carry on of a trace that a caller may have begun, by what stands in its `traceparent`. */
export const headersFrom = (traceparent: unknown): Headers | undefined =>
  typeof traceparent === "string" ? Option.getOrUndefined(Option.map(parse(traceparent), headersOf)) : undefined

/** The same of the caller's own span. One that is never exported is nobody's parent. */
export const ofCaller: Effect.Effect<Headers | undefined> = Effect.gen(function* () {
  const span = yield* Effect.serviceOption(Tracer.ParentSpan)
  if (Option.isNone(span)) return undefined
  const isExported = span.value._tag === "ExternalSpan" || (yield* Tracer.Tracer) !== Tracer.nativeTracer
  return isExported ? headersOf(span.value) : undefined
})

const parse = (traceparent: string) => w3c(HttpHeaders.fromRecordUnsafe({ [header]: traceparent }))

const parentOf = (from: Headers | undefined): Option.Option<Tracer.AnySpan> => {
  const traceparent = from?.[header]
  return traceparent === undefined ? Option.none() : parse(traceparent)
}

const none: Trace = { begin: () => undefined, chunk: () => noHops }
const noHops: Hops = { begin: () => undefined, end: () => Effect.void }

const makeTrace = (tracer: Tracer.Tracer, clock: Clock.Clock): Trace => {
  const now = () => clock.currentTimeNanosUnsafe()

  const beginAt = (startTime: bigint, name: HopName, { clientId, details, from }: HopOptions): Hop => {
    const parent = parentOf(from)
    const span = tracer.span({
      name: `nimbus.${name}`,
      parent,
      annotations: Context.empty(),
      links: [],
      startTime,
      kind: name === "accept" ? "producer" : "consumer",
      root: Option.isNone(parent),
      sampled: Option.isNone(parent) || parent.value.sampled,
    })
    span.attribute("nimbus.client_id", clientId)
    for (const [key, value] of Object.entries(details ?? {})) span.attribute(`nimbus.${key}`, value)
    return { headers: headersOf(span), end: (exit = Exit.void) => span.end(now(), exit) }
  }
  const chunk = (): Hops => {
    const startTime = now()
    const hops: Array<Hop> = []
    return {
      begin: (name, options) => {
        const hop = beginAt(startTime, name, options)
        hops.push(hop)
        return hop.headers
      },
      end: (exit) =>
        Effect.sync(() => {
          for (const hop of hops) hop.end(exit)
        }),
    }
  }
  return { begin: (name, options) => beginAt(now(), name, options), chunk }
}
