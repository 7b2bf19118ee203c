import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { IllegalTransition } from "../Errors.ts"
import { Epoch, PodId } from "./Ids.ts"
import * as Status from "./Status.ts"
import { check, checkCommands, mutants, properties, walkCommands } from "../testing/StatusProperties.ts"

const p = PodId.make("p")
const q = PodId.make("q")
const at = (epoch: number, pod = p) => ({ epoch: Epoch.make(epoch), pod })
const offline = (epoch: number, pod = p): Status.Status => ({ _tag: "OFFLINE", ...at(epoch, pod) })
const replaying = (epoch: number, pod = p): Status.Status => ({ _tag: "REPLAYING", ...at(epoch, pod) })
const live = (epoch: number, pod = p): Status.Status => ({ _tag: "LIVE", ...at(epoch, pod) })

const connect = (atLeast: number, pod = p): Status.Step => ({ _tag: "Connect", atLeast: Epoch.make(atLeast), pod })
const goLive = (epoch: number, pod = p): Status.Step => ({ _tag: "GoLive", ...at(epoch, pod) })
const fallBack = (epoch: number, pod = p): Status.Step => ({ _tag: "FallBack", ...at(epoch, pod) })
const disconnect = (epoch: number, pod = p): Status.Step => ({ _tag: "Disconnect", ...at(epoch, pod) })
const leaseExpired = (pod = p): Status.Step => ({ _tag: "LeaseExpired", pod })
const sweep = (status: Status.StatusName, epoch: number, pod = p): Status.Step => ({
  _tag: "Sweep",
  status,
  ...at(epoch, pod),
})
const unknown = undefined

const given = (from: Status.Status | undefined) => ({
  when: (step: Status.Step) => {
    const moved = Status.transition(from, step)
    return {
      // oxlint-disable-next-line unicorn/no-thenable -- given, when, then; nobody awaits it
      then: (to: Status.Status | undefined) => assert.deepStrictEqual(moved, Result.succeed(to)),
      thenRefused: (reason: IllegalTransition["reason"]) =>
        assert.deepStrictEqual(
          Result.mapError(moved, (refused) => ({ ...refused })),
          Result.fail({ ...new IllegalTransition({ from: from?._tag ?? "UNKNOWN", step: step._tag, reason }) }),
        ),
    }
  },
})

/** Some characters of a text replaced, put in or taken out. */
const Damage = Schema.Struct({
  at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 80 })),
  gone: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 })),
  put: Schema.String.check(Schema.isMaxLength(2)),
})

const damaged = (text: string, { at, gone, put }: typeof Damage.Type): string =>
  text.slice(0, at) + put + text.slice(at + gone)

describe("Status", () => {
  describe("along the arrows", () => {
    it("Connect: anyone is REPLAYING, at the clock or one above what is stored", () => {
      given(unknown).when(connect(5)).then(replaying(5))
      given(offline(3)).when(connect(5)).then(replaying(5))
      given(offline(5)).when(connect(5)).then(replaying(6))
      given(replaying(9)).when(connect(5, q)).then(replaying(10, q))
      given(live(9)).when(connect(5, q)).then(replaying(10, q))
    })

    it("GoLive: REPLAYING is LIVE", () => {
      given(replaying(5)).when(goLive(5)).then(live(5))
    })

    it("FallBack: LIVE is REPLAYING", () => {
      given(live(5)).when(fallBack(5)).then(replaying(5))
    })

    it("Disconnect: REPLAYING or LIVE is OFFLINE", () => {
      given(replaying(5)).when(disconnect(5)).then(offline(5))
      given(live(5)).when(disconnect(5)).then(offline(5))
    })

    it("LeaseExpired: whoever is on that pod is OFFLINE, and nobody else", () => {
      given(replaying(5)).when(leaseExpired(p)).then(offline(5))
      given(live(5)).when(leaseExpired(p)).then(offline(5))
      given(offline(5)).when(leaseExpired(p)).then(offline(5))
      given(live(5)).when(leaseExpired(q)).then(live(5))
      given(unknown).when(leaseExpired(p)).then(unknown)
    })

    it("Sweep: the session is what it says it is, whatever was known of it or of one before", () => {
      given(unknown).when(sweep("LIVE", 5)).then(live(5))
      given(offline(5)).when(sweep("LIVE", 5)).then(live(5))
      given(live(5)).when(sweep("REPLAYING", 5)).then(replaying(5))
      given(live(5)).when(sweep("OFFLINE", 5)).then(offline(5))
      given(live(4, q)).when(sweep("REPLAYING", 5)).then(replaying(5))
    })
  })

  it("walks each arrow that is drawn, from each of its starts to each of its ends", () => {
    const starts = { UNKNOWN: unknown, OFFLINE: offline(5), REPLAYING: replaying(5), LIVE: live(5) }
    const steps: Record<Status.Step["_tag"], (to: Status.StatusName) => Status.Step> = {
      Connect: () => connect(5),
      GoLive: () => goLive(5),
      FallBack: () => fallBack(5),
      Disconnect: () => disconnect(5),
      LeaseExpired: () => leaseExpired(),
      Sweep: (to) => sweep(to, 5),
    }
    for (const step of Object.values(steps)) {
      const { _tag } = step("LIVE")
      for (const from of Status.arrows[_tag].from) {
        for (const to of Status.arrows[_tag].to) {
          const moved = Result.getOrThrow(Status.transition(starts[from], step(to)))
          assert.strictEqual(moved?._tag, to, `${_tag} from ${from}`)
        }
      }
    }
  })

  describe("a step that somebody gives", () => {
    it.effect.prop("is read as it is", [Status.Step], ([step]) =>
      Effect.sync(() => assert.deepStrictEqual(Status.step(step), Result.succeed(step))),
    )

    it.each([
      ["nothing", undefined],
      ["a name alone", "Connect"],
      ["another name", { _tag: "Vanish", ...at(5) }],
      ["no epoch", { _tag: "GoLive", pod: "p" }],
      ["a wrong epoch", { ...goLive(5), epoch: -1 }],
      ["more than there should be", { ...goLive(5), also: 1 }],
    ])("that is %s is none, and says why", (_, value) => {
      const { code, message } = Result.getOrThrow(Result.flip(Status.step(value)))
      assert.strictEqual(code, "NOT_A_STEP")
      assert.isNotEmpty(message)
    })
  })

  describe("the commands of another service", () => {
    const Command = Schema.Literals(["arrive", "caught up", "fell behind", "leave"])
    type Decide = Parameters<typeof walkCommands<typeof Command.Type>>[2]
    const careful: Decide = (from, command) => {
      if (command === "arrive") return [connect(1)]
      if (command === "caught up") return from?._tag === "REPLAYING" ? [{ ...from, _tag: "GoLive" }] : []
      if (command === "fell behind") return from?._tag === "LIVE" ? [{ ...from, _tag: "FallBack" }] : []
      return from === undefined || from._tag === "OFFLINE" ? [] : [{ ...from, _tag: "Disconnect" }]
    }
    const commands = Arbitrary.schema(Command)

    it.effect("pass if they come to steps that lead somewhere, whatever the status is", () =>
      Effect.gen(function* () {
        const checked = yield* checkCommands({ commands, decide: careful })
        assert.strictEqual(checked._tag, "Passed", Arbitrary.formatCheckFailure(checked))
      }),
    )

    it.effect.each<readonly [string, Decide, string]>([
      ["comes to what is no step", (_, command) => (command === "leave" ? [{ _tag: "Leave" }] : []), "NOT_A_STEP"],
      [
        "comes to a step from where no arrow starts",
        (from, command) => (command === "caught up" && from ? [{ ...from, _tag: "GoLive" }] : careful(from, command)),
        "ILLEGAL_TRANSITION",
      ],
    ])("fail if one %s", ([, decide, code]) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* checkCommands({ commands, decide }))._tag, "Falsified")
        const fault = walkCommands(live(5), ["caught up", "leave"], decide)
        assert.strictEqual(Result.getOrThrow(Result.flip(fault)).code, code)
      }),
    )

    it("lead where their steps lead, past those of a session that is superseded", () => {
      const late: Decide = () => [sweep("OFFLINE", 4)]
      assert.deepStrictEqual(walkCommands(live(5), ["leave"], late), Result.succeed(live(5)))
      assert.deepStrictEqual(walkCommands(undefined, ["arrive", "caught up"], careful), Result.succeed(live(1)))
    })
  })

  describe("off the arrows", () => {
    it("GoLive, FallBack and Disconnect start only where the picture says", () => {
      given(live(5)).when(goLive(5)).thenRefused("no-such-arrow")
      given(offline(5)).when(goLive(5)).thenRefused("no-such-arrow")
      given(replaying(5)).when(fallBack(5)).thenRefused("no-such-arrow")
      given(offline(5)).when(fallBack(5)).thenRefused("no-such-arrow")
      given(offline(5)).when(disconnect(5)).thenRefused("no-such-arrow")
    })

    it("they move only the session that they name", () => {
      for (const step of [goLive(6), fallBack(6), disconnect(6)]) {
        given(unknown).when(step).thenRefused("no-such-arrow")
        given(replaying(5)).when(step).thenRefused("no-such-arrow")
        given(live(5)).when(step).thenRefused("no-such-arrow")
      }
    })

    it("a step of an older epoch is superseded", () => {
      for (const step of [goLive(4), fallBack(4), disconnect(4), sweep("LIVE", 4)]) {
        for (const from of [offline(5), replaying(5), live(5)]) given(from).when(step).thenRefused("superseded")
      }
    })

    it("of two sessions with one epoch the one that connected last stays", () => {
      for (const step of [goLive(5, q), fallBack(5, q), disconnect(5, q), sweep("LIVE", 5, q)]) {
        for (const from of [offline(5), replaying(5), live(5)]) given(from).when(step).thenRefused("superseded")
      }
    })

    it("Connect is refused only where no higher epoch is left", () => {
      given(live(Number.MAX_SAFE_INTEGER)).when(connect(5)).thenRefused("no-epoch-left")
      given(live(Number.MAX_SAFE_INTEGER - 1))
        .when(connect(5))
        .then(replaying(Number.MAX_SAFE_INTEGER))
    })
  })

  it("is seen as OFFLINE once the lease of its pod is gone", () => {
    assert.strictEqual(Status.seenWith(live(5), new Set([p])), "LIVE")
    assert.strictEqual(Status.seenWith(replaying(5), new Set([p, q])), "REPLAYING")
    assert.strictEqual(Status.seenWith(live(5), new Set([q])), "OFFLINE")
  })

  describe("for any steps", () => {
    it.effect.each(Object.entries(properties))("%s", ([, property]) =>
      Effect.gen(function* () {
        const checked = yield* check(property, Status.transition)
        assert.strictEqual(checked._tag, "Passed", Arbitrary.formatCheckFailure(checked))
      }),
    )

    it.effect.each(Object.entries(mutants))("without the rule, noticed: %s", ([, { breaks, transition }]) =>
      Effect.gen(function* () {
        // The first walk that notices ends it; by chance that may take many.
        assert.strictEqual((yield* check(properties[breaks], transition, 20_000))._tag, "Falsified", breaks)
      }),
    )
  })

  describe("the stored form", () => {
    it.effect.prop("is read back as what was written", [Status.Status], ([status]) =>
      Effect.sync(() => assert.deepStrictEqual(Status.decode(Status.encode(status)), Result.succeed(status))),
    )

    it.effect.prop(
      "that is damaged is a CorruptRecord, or else a status that is written in the same way",
      [Status.Status, Schema.Array(Damage).check(Schema.isMinLength(1))],
      ([status, damages]) =>
        Effect.sync(() => {
          const text = damages.reduce(damaged, Status.encode(status))
          Result.match(Status.decode(text), {
            onFailure: (error) => assert.strictEqual(error.code, "CORRUPT_RECORD"),
            onSuccess: (read) => assert.deepStrictEqual(JSON.parse(Status.encode(read)), asJson(JSON.parse(text))),
          })
        }),
      { arbitrary: { runs: 500 } },
    )

    const bySchema = Schema.decodeResult(Schema.fromJsonString(Status.Status), { onExcessProperty: "error" })

    it.effect.prop(
      "is recognised by hand as by the schema, damaged or not",
      [Status.Status, Schema.Array(Damage)],
      ([status, damages]) =>
        Effect.sync(() => {
          const text = damages.reduce(damaged, Status.encode(status))
          assert.deepStrictEqual(Result.getSuccess(Status.decode(text)), Result.getSuccess(bySchema(text)))
        }),
      { arbitrary: { runs: 500 } },
    )

    it.effect.prop("is not any text", [Schema.String], ([text]) =>
      Effect.sync(() => assert.isTrue(Result.isFailure(Status.decode(text)))),
    )

    it.each([
      ["an unknown status", `{"_tag":"AWAY","epoch":1,"pod":"p"}`],
      ["no epoch", `{"_tag":"LIVE","pod":"p"}`],
      ["a negative epoch", `{"_tag":"LIVE","epoch":-1,"pod":"p"}`],
      ["half an epoch", `{"_tag":"LIVE","epoch":1.5,"pod":"p"}`],
      ["an epoch in quotes", `{"_tag":"LIVE","epoch":"1","pod":"p"}`],
      ["an epoch that is no safe integer", `{"_tag":"LIVE","epoch":9007199254740993,"pod":"p"}`],
      ["an epoch that begins with 0", `{"_tag":"LIVE","epoch":01,"pod":"p"}`],
      ["no pod", `{"_tag":"LIVE","epoch":1,"pod":""}`],
      ["more than there should be", `{"_tag":"LIVE","epoch":1,"pod":"p","also":1}`],
      ["null", "null"],
      ["nothing", ""],
    ])("with %s is corrupt", (_, text) => {
      assert.isTrue(Result.isFailure(Status.decode(text)))
    })
  })
})

/** As JSON writes it: -0 is 0. */
const asJson = (u: unknown): unknown => JSON.parse(JSON.stringify(u))
