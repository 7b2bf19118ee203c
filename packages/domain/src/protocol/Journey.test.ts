import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Journey from "./Journey.ts"

const Steps = Schema.NonEmptyArray(Journey.JourneyStep)
const notOurs = Schema.Union([
  Schema.Literals([
    "",
    "[",
    "null",
    "{}",
    "[1]",
    `[{"time":1}]`,
    `[{"time":1.5,"service":"s","instance":"i","step":"sent"}]`,
  ]),
  Schema.String,
])

const decodeLate = Schema.decodeEffect(Schema.fromJsonString(Journey.LateSteps))

const accepted: Journey.JourneyStep = { time: 1, service: "gateway", instance: "p1", step: "accepted" }

describe("Journey", () => {
  it.effect.prop("the steps appended to a sampled record are read back in order", [Steps], ([[first, ...rest]]) =>
    Effect.sync(() => {
      let headers = Journey.sample(first)
      for (const step of rest) headers = Journey.append(headers, step)
      assert.deepStrictEqual(Journey.steps(headers), JSON.parse(JSON.stringify([first, ...rest])))
      assert.deepStrictEqual(Journey.append(Journey.sample(first), ...rest), headers)
    }),
  )

  it.effect.prop("a header that is not ours reads as no steps, and can be appended to", [notOurs], ([text]) =>
    Effect.sync(() => {
      const headers = { [Journey.header]: text }
      assert.deepStrictEqual(Journey.steps(headers), [])
      assert.deepStrictEqual(Journey.steps(Journey.append(headers, accepted)), [accepted])
    }),
  )

  it.effect.prop(
    "takes a step for one where the schema does, and no other",
    [Journey.JourneyStep, Schema.Literals(["time", "service", "instance", "step", "details", "x"]), Schema.Json],
    ([step, key, value]) =>
      Effect.sync(() => {
        const text = JSON.stringify({ ...step, [key]: value })
        const isOurs = Schema.is(Journey.JourneyStep)(JSON.parse(text))
        assert.strictEqual(Journey.steps({ [Journey.header]: `[${text}]` }).length, isOurs ? 1 : 0)
      }),
  )

  it.effect.prop("late steps are read back by their schema", [Journey.LateSteps], ([late]) =>
    Effect.gen(function* () {
      const read = yield* decodeLate(new TextDecoder().decode(Journey.encodeLateSteps(late)))
      assert.deepStrictEqual(read, JSON.parse(JSON.stringify(late)))
    }),
  )

  it("a clock with fractions of milliseconds does no harm", () => {
    const headers = Journey.append(Journey.sample({ ...accepted, time: 1.75 }), { ...accepted, time: 2.5 })
    assert.deepStrictEqual(
      Journey.steps(headers).map(({ time }) => time),
      [1, 2],
    )
  })

  it("tells a record that is not sampled by its headers", () => {
    const foreign = { traceparent: "00-1-2-00" }
    assert.isFalse(Journey.isSampled(undefined))
    assert.isFalse(Journey.isSampled(foreign))
    assert.isTrue(Journey.isSampled(Journey.sample(accepted)))
    assert.deepStrictEqual(Journey.steps(foreign), [])
  })

  it("leaves the headers of others alone", () => {
    const headers = Journey.append({ ...Journey.sample(accepted), traceparent: "00-1-2-00" }, accepted)
    assert.strictEqual(headers["traceparent"], "00-1-2-00")
    assert.strictEqual(Journey.steps(headers).length, 2)
  })
})
