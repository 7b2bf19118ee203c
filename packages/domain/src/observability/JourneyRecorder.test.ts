import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { ClientId, Seq } from "../protocol/Ids.ts"
import * as Journey from "../protocol/Journey.ts"
import * as JourneyRecorder from "./JourneyRecorder.ts"
import * as Trace from "./Trace.ts"
import { recordingTracer } from "../testing/RecordingTracer.ts"

const clientId = ClientId.make("c1")
const seq = Seq.make(7)
const source = { service: "gateway", instance: "gw-1" }
const accepted = { clientId, from: undefined, details: { rule: Journey.rules.accepted } }

/** A queue that keeps what it is offered. */
const queue = () => {
  const offered: Array<Journey.LateSteps> = []
  return {
    offered,
    offer: (of: ClientId, at: Seq, steps: Journey.LateSteps["steps"]) =>
      void offered.push({ clientId: of, seq: at, steps }),
  }
}

describe("JourneyRecorder", () => {
  it.effect("records a step once for both outputs: what, when, where, and the span that it begins", () => {
    const { spans, tracer } = recordingTracer()
    return Effect.gen(function* () {
      yield* TestClock.setTime(1_000)
      const recorder = yield* JourneyRecorder.make(source)
      const { end, headers } = recorder.step("accepted", accepted)
      end()
      assert.deepStrictEqual(Journey.steps(headers), [
        { time: 1_000, ...source, step: "accepted", details: { rule: Journey.rules.accepted } },
      ])
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["nimbus.accept"],
      )
      assert.strictEqual(spans[0]?.attributes.get("nimbus.rule"), Journey.rules.accepted)
      assert.strictEqual(headers[Trace.header], Trace.headersOf(spans[0]!)[Trace.header])
      assert.strictEqual(spans[0]?.status._tag, "Ended")
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("continues both: the steps before, and the span before as parent", () => {
    const { spans, tracer } = recordingTracer()
    return Effect.gen(function* () {
      const recorder = yield* JourneyRecorder.make(source)
      const { headers: from } = recorder.step("accepted", accepted)
      const chunk = recorder.chunk()
      const before = { time: 5, service: "log", instance: "l", step: "logged", details: { offset: "7" } } as const
      const headers = chunk.step("handled", { clientId, from, before, details: { name: "sq" } })
      yield* chunk.end(Exit.void)
      assert.deepStrictEqual(
        Journey.steps(headers).map(({ step }) => step),
        ["accepted", "logged", "handled"],
      )
      assert.strictEqual(Option.getOrUndefined(spans[1]!.parent)?.spanId, spans[0]?.spanId)
      assert.strictEqual(spans[1]?.attributes.get("nimbus.offset"), "7")
      assert.strictEqual(spans[1]?.attributes.get("nimbus.name"), "sq")
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("a late step goes to the queue, `sent` with all before it; only `sent` begins a span", () => {
    const { spans, tracer } = recordingTracer()
    return Effect.gen(function* () {
      const recorder = yield* JourneyRecorder.make(source)
      const { headers: from } = recorder.step("accepted", accepted)
      const late = queue()
      recorder.late(late, "pushed", { clientId, seq, details: { pod: "gw-1" } })
      const sent = recorder.late(late, "sent", { clientId, seq, from, details: { rule: Journey.rules.sentFromPush } })
      recorder.late(late, "acknowledged", { clientId, seq, details: {} })
      assert.deepStrictEqual(
        late.offered.map(({ steps }) => steps.map(({ step }) => step)),
        [["pushed"], ["accepted", "sent"], ["acknowledged"]],
      )
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["nimbus.accept", "nimbus.deliver"],
      )
      assert.strictEqual(spans[1]?.status._tag, "Started")
      sent.end()
      assert.strictEqual(spans[1]?.status._tag, "Ended")
    }).pipe(Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("without a tracer it records the journey alone, and passes a `traceparent` on as it is", () =>
    Effect.gen(function* () {
      const recorder = yield* JourneyRecorder.make(source)
      const from = { [Trace.header]: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
      const { headers } = recorder.step("accepted", { ...accepted, from })
      assert.strictEqual(headers[Trace.header], from[Trace.header])
      assert.strictEqual(Journey.steps(headers).length, 1)
    }),
  )
})
