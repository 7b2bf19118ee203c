import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventId, Incarnation, Seq } from "@nimbus/domain/protocol"
import { Arbitrary, Effect, Schema } from "effect"
import * as Core from "./Core.ts"
import { InvariantBroken } from "./Errors.ts"
import { clientLimits } from "./Limits.ts"
import { apply, empty, type Ledger, toLedger, toRemembered } from "./Memory.ts"
import {
  accepted,
  acks,
  delivered,
  disconnected,
  doneWith,
  event,
  given,
  item,
  log,
  lost,
  part,
  remembered,
  repeat,
  results,
  send,
  stream,
  tags,
  welcome,
  written,
} from "./testing/CoreInputs.ts"
import { type Faults, runSchedule } from "./testing/CoreWorld.ts"

describe("Core: receiving", () => {
  it("acknowledges a result after the consumer is done with it, not before", () => {
    const { when } = given(welcome())
    const heard = when(results(item(3, "a"), item(5, "b")))
    assert.deepStrictEqual(delivered(heard), [3, 5])
    assert.deepStrictEqual(acks(heard), [])
    assert.deepStrictEqual(acks(when(doneWith(3, 1))), [3])
    assert.deepStrictEqual(acks(when(doneWith(5, 1))), [5])
  })

  it("remembers before it acknowledges", () => {
    const { when } = given(welcome(), results(item(3, "a")))
    assert.deepStrictEqual(tags(when(doneWith(3, 1))), ["Remember", "Ack"])
  })

  it("drops what it has delivered before, counts it, and acknowledges again what it is done with", () => {
    const { core, when } = given(
      welcome(),
      results(item(3, "a"), item(5, "b")),
      doneWith(3, 1),
      disconnected,
      welcome(),
    )
    const again = when(results(item(3, "a"), item(5, "b"), item(6, "c")))
    assert.deepStrictEqual(delivered(again), [6])
    assert.deepStrictEqual(acks(again), [3])
    assert.strictEqual(core.stats.repeats, 2)
    assert.strictEqual(core.stats.outOfOrder, 0)
  })

  it("acknowledges what was finished after a reconnect only as far as it was heard again", () => {
    const { when } = given(welcome(), results(item(3, "a"), item(5, "b")), disconnected, welcome())
    assert.deepStrictEqual(acks(when(doneWith(5, 2))), [])
    assert.deepStrictEqual(acks(when(results(item(3, "a")))), [3])
    assert.deepStrictEqual(acks(when(results(item(5, "b")))), [5])
  })

  it("counts a seq that falls within one connection as out of order", () => {
    const { core, when } = given(welcome())
    assert.deepStrictEqual(delivered(when(results(item(5, "b"), item(3, "a")))), [5])
    assert.strictEqual(core.stats.outOfOrder, 1)
  })

  it("does not take a frame that exceeds the window, and cuts the connection", () => {
    const limits = { ...clientLimits, waiting_notices: 0 }
    const core = Core.make(empty, limits)
    Core.step(core, welcome())
    Core.step(core, results(item(0, "a"), item(1, "b"), item(2, "c")))
    const outputs = Core.step(core, results(item(3, "d"), item(4, "e")))
    assert.deepStrictEqual(tags(outputs), ["Cut"])
    assert.strictEqual(core.received, 2)
  })

  it("cuts a connection that begins with anything but a welcome", () => {
    assert.deepStrictEqual(tags(given().when(results(item(0, "a")))), ["Cut"])
  })

  it("hears what is wrong with the request before any welcome", () => {
    const objection = { code: "AFTER_OTHER_LOG", message: "ignored" }
    const outputs = given().when({ _tag: "Heard", frame: { type: "error", ...objection } })
    assert.deepStrictEqual(outputs, [{ _tag: "Objection", objection }])
  })

  it("begins anew in a log that was cut back, and says so", () => {
    const { core, when } = given(welcome(), results(item(8, "a")), doneWith(8, 1), disconnected)
    assert.deepStrictEqual(Core.resume(core), { log, after: Cursor.make(8) })
    assert.deepStrictEqual(delivered(when(welcome(2))), ["incarnation"])
    assert.deepStrictEqual(delivered(when(results(item(3, "b")))), [3])
    assert.strictEqual(core.ledger.last, 2)
  })

  it("passes on what is lost, in its place, once", () => {
    const { core, when } = given(welcome(), results(item(1, "a")))
    assert.deepStrictEqual(delivered(when(lost(1, 7))), ["retention"])
    assert.deepStrictEqual(acks(when(doneWith(1, 1))), [1])
    assert.deepStrictEqual(acks(when(doneWith(7, 1))), [7])
    when(disconnected)
    when(welcome(1))
    assert.deepStrictEqual(delivered(when(lost(1, 7))), [])
    assert.strictEqual(core.stats.lost, 1)
  })

  it("drops its last seq in another log, says so, and acknowledges nothing of the one before", () => {
    const other = Incarnation.make("log-1")
    const { core, when } = given(welcome(), results(item(8, "a")), disconnected)
    assert.deepStrictEqual(delivered(when(welcome(-1, other))), ["incarnation"])
    assert.deepStrictEqual(acks(when(doneWith(8, 1))), [])
    assert.deepStrictEqual(delivered(when(results(item(2, "b")))), [2])
    assert.deepStrictEqual(Core.resume(core), { log: other, after: Cursor.make(-1) })
  })
})

describe("Core: sending", () => {
  it("remembers an event before it writes it, and writes it only when welcomed", () => {
    assert.deepStrictEqual(tags(given().when(send(false, "a"))), ["Remember"])
    assert.deepStrictEqual(tags(given(welcome()).when(send(false, "a"))), ["Remember", "Write"])
  })

  it("writes again in order what was not accepted, marked as doubtful first", () => {
    const { core, when } = given(welcome(), send(false, "a", "b", "c"), accepted("b"), disconnected, send(false, "d"))
    const outputs = when(welcome())
    assert.deepStrictEqual(written(outputs), ["a", "c", "d"])
    assert.deepStrictEqual(tags(outputs), ["Status", "Remember", "Write"])
    assert.deepStrictEqual([...core.ledger.doubtful.keys()].map(String), ["a", "c"])
    assert.strictEqual(core.stats.resent, 2)
  })

  it("shows the first of two answers and acknowledges both", () => {
    const { core, when } = given(welcome(), send(false, "a"), disconnected, welcome())
    assert.deepStrictEqual(delivered(when(results(item(4, "a")))), [4])
    assert.deepStrictEqual(delivered(when(results(item(6, "a")))), [])
    assert.deepStrictEqual(acks(when(doneWith(4, 1))), [6])
    assert.strictEqual(core.stats.repeats, 1)
  })

  it("acknowledges a repeat at once when nothing waits before it", () => {
    const { when } = given(welcome(), send(false, "a"), disconnected, welcome(), results(item(4, "a")), doneWith(4, 1))
    assert.deepStrictEqual(acks(when(results(item(6, "a")))), [6])
  })

  it("shows the first answer again to a life that had not finished with it", () => {
    const { core } = given(welcome(), send(true, "a"), accepted("a"), results(item(4, "a")))
    const next = Core.make(toRemembered(core.ledger))
    Core.step(next, welcome())
    assert.deepStrictEqual(delivered(Core.step(next, results(item(4, "a"), item(6, "a")))), [4])
  })

  it("shows the second answer where the first was lost before a consumer had finished with it", () => {
    const { core } = given(welcome(), send(true, "a"), accepted("a"), results(item(4, "a")))
    const next = Core.make(toRemembered(core.ledger))
    Core.step(next, welcome())
    Core.step(next, { _tag: "Heard", frame: { type: "lost", after: Cursor.make(-1), upTo: Seq.make(4) } })
    assert.deepStrictEqual(delivered(Core.step(next, results(item(6, "a")))), [6])
  })

  it.each([
    ["a loss", log, [lost(-1, 4), doneWith(4, 1)]],
    ["another log", Incarnation.make("log-1"), []],
  ] as const)("shows the second answer also to a process after the one that heard of %s", (_, of, inputs) => {
    const saved = toLedger(empty)
    const processOf = () => {
      const core = Core.make(toRemembered(saved))
      return (input: Core.Input) => {
        const outputs = Core.step(core, input)
        for (const change of remembered(outputs)) apply(saved, change)
        return outputs
      }
    }
    ;[welcome(), send(true, "a"), accepted("a"), results(item(4, "a"))].forEach(processOf())
    ;[welcome(-1, of), ...inputs].forEach(processOf())
    const when = processOf()
    when(welcome(saved.last, of))
    assert.deepStrictEqual(delivered(when(results(item(6, "a")))), [6])
  })

  it("forgets the oldest doubt beyond the bound though its answer was not processed", () => {
    const { core } = given(welcome(), send(true, "a", "b"), results(item(4, "a")))
    const next = Core.make(toRemembered(core.ledger), { ...clientLimits, doubtful_ids: 2 })
    for (const input of [send(true, "c"), welcome()]) Core.step(next, input)
    assert.deepStrictEqual([...next.ledger.doubtful.keys()].map(String), ["b", "c"])
  })

  it("shows no repeat, acknowledges it with what is before it, and takes it for an acceptance", () => {
    const { core, when } = given(welcome(), send(false, "a"))
    const outputs = when(results(item(4, "b"), repeat(6, "a", 2)))
    assert.deepStrictEqual(delivered(outputs), [4])
    const id = EventId.make("a")
    assert.deepStrictEqual(
      outputs.filter(({ _tag }) => _tag === "Accepted" || _tag === "Repeated"),
      [
        { _tag: "Accepted", ids: [id] },
        { _tag: "Repeated", id, first: Seq.make(2) },
      ],
    )
    assert.strictEqual(core.ledger.unaccepted.size, 0)
    assert.deepStrictEqual(acks(when(doneWith(4, 1))), [6])
    assert.strictEqual(core.stats.repeats, 1)
  })

  it("tells who asks again for the result of a named event that it has come, and at which seq", () => {
    const { when } = given(welcome(), send(true, "a"), results(item(4, "a")))
    assert.deepStrictEqual(tags(when(send(true, "a"))), ["Accepted", "Repeated"])
  })

  it("takes a result for an acceptance", () => {
    const { when } = given(welcome(), send(false, "a"))
    assert.deepStrictEqual(tags(when(results(item(4, "a")))), ["Remember", "Accepted", "Deliver"])
  })

  it("does not send again a named event that was accepted before", () => {
    const { when } = given(welcome(), send(true, "a"), accepted("a"))
    assert.deepStrictEqual(tags(when(send(true, "a"))), ["Accepted"])
  })

  it("takes no named event for accepted, wherever a crash cuts what was to be remembered of it", () => {
    const refused: Core.Input = { _tag: "Heard", frame: { type: "refused", id: "a", code: "UNKNOWN", message: "no" } }
    for (const inputs of [[send(true, "a")], [welcome(), send(true, "a"), refused]]) {
      const core = Core.make(empty)
      const changes = inputs.flatMap((input) => remembered(Core.step(core, input)))
      for (let kept = 0; kept <= changes.length; kept++) {
        const ledger = toLedger(empty)
        for (const change of changes.slice(0, kept)) apply(ledger, change)
        const next = Core.make(toRemembered(ledger))
        assert.notInclude(tags(Core.step(next, send(true, "a"))), "Accepted", `after ${kept} changes`)
      }
    }
  })

  it("sends a refused event again when asked to", () => {
    const refused: Core.Input = {
      _tag: "Heard",
      frame: { type: "refused", id: "a", code: "UNKNOWN", message: "no" },
    }
    const { when } = given(welcome(), send(true, "a"), refused)
    assert.deepStrictEqual(written(when(send(true, "a"))), ["a"])
  })

  it("refuses by itself what the gateway would close the connection for", () => {
    const { when } = given(welcome())
    const big = { id: EventId.make("big"), frame: "x".repeat(201) }
    const outputs = when({ _tag: "Send", events: [big, event("a")], named: false })
    assert.deepStrictEqual(written(outputs), ["a"])
    assert.include(tags(outputs), "Refused")
  })

  it("measures a frame in bytes, not in characters", () => {
    const { when } = given(welcome())
    const big = { id: EventId.make("big"), frame: "ü".repeat(101) }
    assert.include(tags(when({ _tag: "Send", events: [big], named: false })), "Refused")
  })

  it("forgets the oldest doubt beyond the bound", () => {
    const core = Core.make(empty, { ...clientLimits, doubtful_ids: 2 })
    Core.step(core, send(true, "a", "b", "c"))
    assert.deepStrictEqual([...core.ledger.doubtful.keys()].map(String), ["b", "c"])
  })
})

describe("Core: each invariant of its header is asserted", () => {
  /** What a field never says, in its place; it is set in vain. */
  const saying = <A extends object, K extends keyof A>(part: A, name: K, get: () => A[K]): void =>
    void Object.defineProperty(part, name, { get, set: () => {} })

  const broken: ReadonlyArray<() => void> = [
    () => {
      const { core, when } = given(welcome())
      saying(core, "shown", () => Cursor.make(9))
      when(results(item(3, "a")))
    },
    () => {
      const { core, when } = given(welcome(), results(item(3, "a")))
      let looks = 0
      saying(core, "received", () => Cursor.make(looks++ < 3 ? 3 : 2))
      when(doneWith(3, 1))
    },
    () => {
      const { core, when } = given(welcome())
      core.ledger.unaccepted.set = () => core.ledger.unaccepted
      when(send(false, "a"))
    },
    () => {
      const { core, when } = given(welcome())
      let looks = 0
      saying(core, "waiting", () => (looks++ === 0 ? 0 : Infinity))
      when(results(item(3, "a")))
    },
    () => {
      const { core, when } = given(welcome())
      core.shown = Cursor.make(9)
      when({ _tag: "Heard", frame: { type: "lost", after: Cursor.make(-1), upTo: Seq.make(4) } })
    },
    () => {
      const { core, when } = given(welcome(), stream("a"))
      const task = core.ledger.tasks.get(EventId.make("a"))
      assert.isDefined(task)
      let looks = 0
      saying(task, "end", () => (looks++ < 3 ? undefined : { as: "done" as const }))
      when(results(part(1, "a", 0)))
    },
  ]

  it.each(broken.map((breaks, i) => ({ breaks, number: i + 1 })))("$number", ({ breaks, number }) => {
    try {
      breaks()
    } catch (defect) {
      if (!(defect instanceof InvariantBroken)) throw defect
      return assert.strictEqual(defect.invariant, number)
    }
    assert.fail("it did not die of it")
  })
})

const Schedule = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_999 }))), {
  maxLength: 150,
})

describe("Core: whatever the network, the gateway and the process do", () => {
  it.effect.prop(
    "each answer is seen exactly once, in order, by a consumer whose work is saved with the cursor",
    [Schedule],
    ([schedule]) => Effect.sync(() => assert.deepStrictEqual(runSchedule(schedule), [])),
    { arbitrary: { runs: 1_500, size: 150 } },
  )

  it.effect.prop(
    "it need not remember which ids may be in the log twice where the window of the pipeline reaches back far enough",
    [Schedule],
    ([schedule]) =>
      Effect.sync(() => assert.deepStrictEqual(runSchedule(schedule, { noDoubts: true, endlessWindow: true }), [])),
    { arbitrary: { runs: 1_500, size: 150 } },
  )

  // Each takes one rule away, and some schedule must then break the promise; `runs` finds it in a tenth of them.
  const withoutRule: ReadonlyArray<readonly [string, Faults]> = [
    ["results are acknowledged when they are delivered", { ackOnDelivery: true }],
    ["the gateway is told to resume after what was delivered", { resumeAfterDelivered: true }],
    ["an ack leaves before the memory is saved", { ackBeforeSave: true }],
    ["an event leaves before the memory is saved", { writeBeforeSave: true }],
    ["doubtful ids are not remembered", { forgetDoubts: true }],
    ["there are no doubtful ids", { noDoubts: true }],
    ["unaccepted events are not remembered", { forgetUnaccepted: true }],
    ["the parts of tasks are not remembered", { forgetParts: true }],
    ["it is not remembered which tasks are streamed", { forgetStreams: true }],
    ["cancels are not remembered", { forgetCancels: true }],
    ["a reader says that it has read what it has not", { readEarly: true }],
  ]
  it.effect.each(withoutRule)("is broken when %s", ([, faults]) =>
    Effect.gen(function* () {
      const result = yield* Arbitrary.checkEffect(
        Schedule,
        (schedule) => Effect.sync(() => runSchedule(schedule, faults).length === 0),
        { runs: 3_000, size: 150, seed: 1, maxShrinks: 0 },
      )
      assert.strictEqual(result._tag, "Falsified")
    }),
  )

  it.effect.prop(
    "what is saved adds up to what the core knows, as far as a next life needs it",
    [Schedule],
    ([schedule]) =>
      Effect.sync(() => {
        const saved = toLedger(empty)
        runSchedule(schedule, {}, (core, changes) => {
          for (const change of changes) apply(saved, change)
          const nextLife = (ledger: Ledger) => toRemembered(Core.make(toRemembered(ledger)).ledger)
          assert.deepStrictEqual(nextLife(saved), nextLife(core.ledger))
        })
      }),
  )
})
