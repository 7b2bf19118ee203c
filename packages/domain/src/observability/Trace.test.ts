import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Schema, Tracer } from "effect"
import * as Trace from "./Trace.ts"
import { recordingTracer } from "../testing/RecordingTracer.ts"

const Id = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 48 }))
const Ids = Schema.Struct({ trace: Id, span: Id, sampled: Schema.Boolean })

const about = (from: Trace.HopOptions["from"]) => ({ clientId: "c1", from, details: { rule: "has a route" } })
const foreign = { [Trace.header]: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }

describe("Trace", () => {
  it.effect("makes no span where nothing is exported", () =>
    Effect.gen(function* () {
      const trace = yield* Trace.make
      assert.isUndefined(trace.begin("accept", about(undefined)))
      const hops = trace.chunk()
      assert.isUndefined(hops.begin("handle", about(foreign)))
      yield* hops.end(Exit.void)
    }),
  )

  it.effect("each hop is a child of the one that the headers name", () => {
    const { spans, tracer } = recordingTracer()
    return Effect.gen(function* () {
      const trace = yield* Trace.make
      const accept = trace.begin("accept", about(undefined))
      const hops = trace.chunk()
      const headers = hops.begin("handle", about(accept?.headers))
      const deliver = trace.begin("deliver", about(headers))
      accept?.end()
      yield* hops.end(Exit.void)
      deliver?.end(Exit.interrupt())
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["nimbus.accept", "nimbus.handle", "nimbus.deliver"],
      )
      const parents = spans.map(({ parent }) => Option.getOrUndefined(parent)?.spanId)
      assert.deepStrictEqual(parents, [undefined, spans[0]?.spanId, spans[1]?.spanId])
      assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)
      assert.isTrue(spans.every(({ status }) => status._tag === "Ended"))
      assert.strictEqual(spans[1]?.attributes.get("nimbus.rule"), "has a route")
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("a caller that does not sample is not traced, and its children neither", () => {
    const { spans, tracer } = recordingTracer()
    return Effect.gen(function* () {
      const trace = yield* Trace.make
      const from = { [Trace.header]: foreign[Trace.header]!.replace(/01$/, "00") }
      const accept = trace.begin("accept", about(from))
      trace.begin("handle", about(accept?.headers))
      assert.deepStrictEqual(
        spans.map(({ sampled }) => sampled),
        [false, false],
      )
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect.prop("headers name the span that they were made of", [Ids], ([{ sampled, span, trace }]) =>
    Effect.sync(() => {
      const ids = { traceId: trace.toString(16).padStart(32, "0"), spanId: span.toString(16).padStart(16, "0") }
      const headers = Trace.headersOf(Tracer.externalSpan({ ...ids, sampled }))
      assert.deepStrictEqual(Trace.headersFrom(headers[Trace.header]), headers)
    }),
  )

  it.each([undefined, "", "00-1-2-00", ["a", "b"], `00-${"0".repeat(32)}-b7ad6b7169203331-01`])(
    "takes %j for no trace",
    (text) => {
      assert.isUndefined(Trace.headersFrom(text))
    },
  )

  it.effect("knows the caller's span if it is ever exported", () => {
    const { tracer } = recordingTracer()
    const inSpan = Trace.ofCaller.pipe(Effect.withSpan("caller"))
    return Effect.gen(function* () {
      assert.isUndefined(yield* Trace.ofCaller)
      assert.isUndefined(yield* inSpan)
      assert.isDefined(yield* Effect.provideService(inSpan, Tracer.Tracer, tracer))
      const span = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
      assert.deepStrictEqual(yield* Effect.withParentSpan(Trace.ofCaller, span), foreign)
    })
  })
})
