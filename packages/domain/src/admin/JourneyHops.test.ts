import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type JourneyStep, rules, StepName } from "../protocol/Journey.ts"
import { hopsOf } from "./JourneyHops.ts"
import { JourneyView } from "./Views.ts"

const order = StepName.literals
const protocol: ReadonlyArray<StepName> = [
  "accepted",
  "logged",
  "handled",
  "routed",
  "pushed",
  "diverted",
  "shelved",
  "put",
  "sent",
  "acknowledged",
]

const step = (name: StepName, time = 0, instance = "i1"): JourneyStep => ({ time, service: "s", instance, step: name })

/** As one writes them down: a step, `step*2` for one that came again twice, `?step`, `?step/other`. */
const words = (steps: ReadonlyArray<JourneyStep>, place: JourneyView["place"] = "unknown"): string =>
  hopsOf(steps, place)
    .map((hop) =>
      hop._tag === "Seen"
        ? `${hop.step.step}${hop.repeats === 0 ? "" : `*${hop.repeats}`}`
        : `?${hop.step}${hop.or === undefined ? "" : `/${hop.or}`}`,
    )
    .join(" ")

const seen = (...names: ReadonlyArray<StepName>) => names.map((name, i) => step(name, i))

const live = ["accepted", "logged", "handled", "routed", "pushed", "sent", "acknowledged"] as const
const replayed = ["accepted", "logged", "handled", "shelved", "put", "sent", "acknowledged"] as const

describe("hopsOf", () => {
  it("shows a live journey and a replayed one as they were", () => {
    assert.strictEqual(words(seen(...live), "acknowledged"), live.join(" "))
    assert.strictEqual(words(seen(...replayed), "acknowledged"), replayed.join(" "))
  })

  it("shows both ways of an event that was routed and then diverted", () => {
    const both = ["accepted", "logged", "handled", "routed", "pushed", "diverted", "put", "sent"] as const
    assert.strictEqual(words(seen(...both)), both.join(" "))
    assert.strictEqual(words(seen("diverted", "put")), "?accepted ?logged ?handled ?routed diverted put")
  })

  it("tells nothing of what may not have happened yet", () => {
    assert.strictEqual(words([], "unknown"), "")
    assert.strictEqual(words(seen("accepted")), "accepted")
    assert.strictEqual(words(seen("accepted", "logged"), "events"), "accepted logged")
    assert.strictEqual(words(seen("accepted", "logged", "handled", "routed")), "accepted logged handled routed")
    assert.strictEqual(words(seen("accepted", "logged", "handled", "shelved")), "accepted logged handled shelved")
  })

  it("shows as missing what must have happened, the place of the record being known", () => {
    assert.strictEqual(words([], "events"), "?accepted ?logged")
    assert.strictEqual(words(seen("accepted", "logged"), "results"), "accepted logged ?handled")
    assert.strictEqual(
      words(seen("accepted", "logged", "handled"), "mailbox"),
      "accepted logged handled ?shelved/diverted ?put",
    )
    assert.strictEqual(
      words(seen("accepted", "logged", "handled", "routed", "pushed", "sent"), "acknowledged"),
      "accepted logged handled routed pushed sent ?acknowledged",
    )
  })

  it("does not guess which way an event took", () => {
    assert.strictEqual(
      words(seen("accepted", "logged", "handled", "sent")),
      "accepted logged handled ?routed/shelved sent",
    )
    assert.strictEqual(
      words(seen("accepted", "logged", "handled", "routed", "sent")),
      "accepted logged handled routed ?pushed/diverted sent",
    )
    assert.strictEqual(
      words(seen("accepted", "logged", "handled", "routed", "put", "sent")),
      "accepted logged handled routed ?shelved/diverted put sent",
    )
  })

  it("takes the way from the rule by which it was sent, where nothing else is left of it", () => {
    const sentBy = (rule: string) =>
      words([...seen("accepted", "logged", "handled"), { ...step("sent", 9), details: { rule } }])
    assert.strictEqual(sentBy(rules.sentFromPush), "accepted logged handled ?routed ?pushed sent")
    assert.strictEqual(sentBy(rules.sentFromMailbox), "accepted logged handled ?shelved/diverted ?put sent")
    assert.strictEqual(sentBy(rules.sentFromLog), "accepted logged handled sent")
  })

  it("counts what came again, and shows the first of it with its time since the first hop", () => {
    const steps = [
      step("handled", 30, "i2"),
      step("accepted", 10),
      step("handled", 20, "i1"),
      step("handled", 20, "i1"),
    ]
    const hops = hopsOf(steps, "unknown")
    assert.deepStrictEqual(hops, [
      { _tag: "Seen", step: step("accepted", 10), since_ms: 0, repeats: 0 },
      { _tag: "Missing", step: "logged" },
      { _tag: "Seen", step: step("handled", 20, "i1"), since_ms: 10, repeats: 1 },
    ])
  })

  const Found = Schema.Array(
    Schema.Struct({
      time: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
      service: Schema.Literals(["gateway", "result-consumer"]),
      instance: Schema.Literals(["a", "b"]),
      step: StepName,
    }),
  )
  const Place = JourneyView.fields.place

  it.effect.prop(
    "keeps the order of the protocol, with at most one hop for each step",
    [Found, Place],
    ([found, place]) =>
      Effect.sync(() => {
        const ranks = hopsOf(found, place).map((hop) =>
          protocol.indexOf(hop._tag === "Seen" ? hop.step.step : hop.step),
        )
        for (const [i, rank] of ranks.entries()) if (i > 0) assert.isAbove(rank, ranks[i - 1]!)
      }),
  )

  it.effect.prop("shows every step that was found, and no other as seen", [Found, Place], ([found, place]) =>
    Effect.sync(() => {
      const hops = hopsOf(found, place)
      const shown = new Set(hops.flatMap((hop) => (hop._tag === "Seen" ? [hop.step.step] : [])))
      assert.deepStrictEqual(shown, new Set(found.map((one) => one.step)))
      for (const hop of hops) {
        if (hop._tag === "Seen") assert.isTrue(new Set<JourneyStep>(found).has(hop.step))
        else assert.isFalse(shown.has(hop.step) || (hop.or !== undefined && shown.has(hop.or)))
      }
    }),
  )

  it.effect.prop(
    "ends with what is known: a step that was seen, or the one that the place proves",
    [Found, Place],
    ([found, place]) =>
      Effect.sync(() => {
        const last = hopsOf(found, place).at(-1)
        const proven = {
          unknown: undefined,
          events: "logged",
          tasks: "handled",
          results: "handled",
          mailbox: "put",
          acknowledged: "acknowledged",
        }
        if (last?._tag === "Missing") assert.strictEqual(last.step, proven[place])
      }),
  )

  it.effect.prop(
    "does not depend on the order in which steps were found, nor on finding one twice",
    [Found, Place],
    ([found, place]) =>
      Effect.sync(() => {
        assert.deepStrictEqual(hopsOf([...found].reverse(), place), hopsOf(found, place))
        assert.deepStrictEqual(hopsOf([...found, ...found], place), hopsOf(found, place))
      }),
  )

  it("knows every step", () => {
    assert.sameMembers([...order], [...protocol])
  })
})
