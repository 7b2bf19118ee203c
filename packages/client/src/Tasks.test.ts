import { assert, describe, it } from "@effect/vitest"
import { Cursor, EventId, Incarnation } from "@nimbus/domain/protocol"
import * as Core from "./Core.ts"
import { clientLimits } from "./Limits.ts"
import { toRemembered } from "./Memory.ts"
import {
  accepted,
  acks,
  cancel,
  delivered,
  disconnected,
  doneWith,
  event,
  given,
  givenWith,
  item,
  left,
  lost,
  part,
  read,
  repeat,
  results,
  send,
  stream,
  tags,
  welcome,
  written,
} from "./testing/CoreInputs.ts"

const idA = EventId.make("a")
const task = (core: Core.State, id = "a") => core.ledger.tasks.get(EventId.make(id))
const partsOf = (core: Core.State, id = "a") => task(core, id)?.parts
const endOf = (core: Core.State, id = "a") => task(core, id)?.end?.as
const cancels = (outputs: ReadonlyArray<Core.Output>): ReadonlyArray<string> =>
  outputs.flatMap((output) => (output._tag === "WriteCancels" ? output.ids : []))
/** Room for two parts of five characters. */
const small = { task_chars: 10 }
/** Another process, with what this one has remembered. */
const nextLife = (core: Core.State, limits = {}) => Core.make(toRemembered(core.ledger), { ...clientLimits, ...limits })

describe("Tasks: what is kept", () => {
  it("keeps the parts of a streamed task, acknowledges them at once, and delivers none of them as a result", () => {
    const { core, when } = given(welcome(), stream("a"))
    const outputs = when(results(part(1, "a", 0), part(2, "a", 1)))
    assert.deepStrictEqual(partsOf(core), ["1.0", "1.1"])
    assert.deepStrictEqual(delivered(outputs), [])
    assert.deepStrictEqual(acks(outputs), [2])
    // What is acknowledged is remembered before.
    assert.isBelow(tags(outputs).lastIndexOf("Remember"), tags(outputs).indexOf("Ack"))
  })

  it("acknowledges parts together with the results before them", () => {
    const { when } = given(welcome(), stream("a"))
    assert.deepStrictEqual(acks(when(results(item(1, "x"), part(2, "a", 0), item(3, "y"), part(4, "a", 1)))), [])
    assert.deepStrictEqual(acks(when(doneWith(1, 1))), [1])
    assert.deepStrictEqual(acks(when(doneWith(3, 1))), [4])
  })

  it("delivers the items of a task that is not streamed as results", () => {
    const { when } = given(welcome(), send(false, "a"))
    assert.deepStrictEqual(delivered(when(results(part(1, "a", 0), part(2, "a", 1, { end: "done" })))), [1, 2])
  })

  it("takes a part for an acceptance of its event", () => {
    const { core, when } = given(welcome(), stream("a"))
    assert.include(tags(when(results(part(1, "a", 0)))), "Accepted")
    assert.strictEqual(core.ledger.unaccepted.size, 0)
  })

  it("ends a task as its last item says", () => {
    for (const end of ["done", "cancelled"] as const) {
      assert.strictEqual(endOf(given(welcome(), stream("a"), results(part(1, "a", 0, { end }))).core), end)
    }
    const error = { code: "HANDLER_FAILED", message: "no" }
    const { core } = given(welcome(), stream("a"), results(part(1, "a", 0, { end: "failed", error })))
    assert.deepStrictEqual(task(core)?.end, { as: "failed", error })
  })

  it("takes the result of a handler for an answer in one part, and its error for a failure", () => {
    const { core } = given(welcome(), stream("a"), results({ ...item(1, "a"), data: 7 }))
    assert.deepStrictEqual([partsOf(core), endOf(core)], [[7], "done"])
    const error = { code: "UNKNOWN_EVENT", message: "no" }
    const failed = given(welcome(), stream("a"), results({ ...item(1, "a"), error }))
    assert.deepStrictEqual(task(failed.core)?.end, { as: "failed", error })
  })

  it("drops what an attempt that starts again makes void, and keeps it where the attempt goes on", () => {
    const inputs = [welcome(), stream("a"), results(part(1, "a", 0), part(2, "a", 1))]
    const again = given(...inputs, results(part(3, "a", 0, { attempt: 2 })))
    assert.deepStrictEqual([partsOf(again.core), task(again.core)?.began], [["2.0"], 2])
    const on = given(...inputs, results(part(3, "a", 2, { attempt: 2 })))
    assert.deepStrictEqual([partsOf(on.core), task(on.core)?.began], [["1.0", "1.1", "2.2"], 1])
    const none = given(...inputs, results(part(3, "a", 0, { attempt: 2, end: "cancelled" })))
    assert.deepStrictEqual([partsOf(none.core), endOf(none.core)], [[], "cancelled"])
  })

  it("takes each part once, also if an earlier process had kept it and not acknowledged it", () => {
    const { core } = given(welcome(), stream("a"), results(item(1, "x"), part(2, "a", 0)))
    const next = nextLife(core)
    Core.step(next, welcome())
    assert.deepStrictEqual(delivered(Core.step(next, results(item(1, "x"), part(2, "a", 0), part(3, "a", 1)))), [1])
    assert.deepStrictEqual(partsOf(next), ["1.0", "1.1"])
  })

  it("shows the parts of one of two copies of an event alone", () => {
    const { core } = given(welcome(), stream("a"), disconnected, welcome())
    const inputs = [part(3, "a", 0, { task: 1 }), part(4, "a", 0, { task: 2 }), part(5, "a", 1, { task: 1 })]
    Core.step(core, results(...inputs, part(6, "a", 1, { task: 2, end: "done" })))
    assert.deepStrictEqual([partsOf(core), endOf(core)], [["1.0", "1.1"], undefined])
  })

  it("shows the items of one of two copies of an event that is not streamed alone", () => {
    const { when } = given(welcome(), send(false, "a"), disconnected, welcome())
    const copies = results(part(3, "a", 0, { task: 1 }), part(4, "a", 0, { task: 2 }), part(5, "a", 1, { task: 1 }))
    assert.deepStrictEqual(delivered(when(copies)), [3, 5])
  })

  it("does not send the event of a stream again, whether it was accepted or has ended", () => {
    const { core, when } = given(welcome(), stream("a"), accepted("a"))
    assert.deepStrictEqual(written(when(stream("a"))), [])
    when(results(part(1, "a", 0, { end: "done" })))
    const outputs = when(stream("a"))
    assert.deepStrictEqual([written(outputs), tags(outputs)], [[], ["Accepted"]])
    assert.strictEqual(endOf(core), "done")
  })
})

describe("Tasks: what does not come", () => {
  it("ends an accepted task as lost where results are lost, and not one whose event is still to be sent", () => {
    const { core, when } = given(
      welcome(),
      stream("a"),
      accepted("a"),
      stream("b"),
      disconnected,
      stream("c"),
      welcome(),
    )
    when(lost(-1, 4))
    // An earlier gateway may have published `b`, and nobody `c`.
    assert.deepStrictEqual([endOf(core), endOf(core, "b"), endOf(core, "c")], ["lost", "lost", undefined])
    // What comes nevertheless is a result: no stream waits for it.
    assert.deepStrictEqual(delivered(when(results(part(5, "a", 7)))), [5])
  })

  it("ends an accepted task as lost in another log", () => {
    const { core, when } = given(welcome(), stream("a"), accepted("a"), stream("b"), disconnected)
    when(welcome(-1, Incarnation.make("log-1")))
    assert.deepStrictEqual([endOf(core), endOf(core, "b")], ["lost", undefined])
  })

  it("ends a task as lost where a part is missing", () => {
    const { core } = given(welcome(), stream("a"), results(part(1, "a", 0), part(2, "a", 2)))
    assert.strictEqual(endOf(core), "lost")
  })

  it("ends the task of a refused event", () => {
    const refused: Core.Input = { _tag: "Heard", frame: { type: "refused", id: "a", code: "UNKNOWN", message: "no" } }
    const { core, when } = given(welcome(), stream("a"))
    const outputs = when(refused)
    assert.strictEqual(endOf(core), "refused")
    // Or an event that is settled would leave a task without an end after a crash.
    const changes = outputs.flatMap((output) => (output._tag === "Remember" ? [output.change._tag] : []))
    assert.isBelow(changes.indexOf("Ended"), changes.indexOf("Settled"))
  })

  it("takes a repeat for its own second copy, unless the first one is older than the stream", () => {
    const { core } = given(welcome(), results(item(5, "x")), stream("a", true), results(repeat(9, "a", 7)))
    assert.strictEqual(endOf(core), undefined)
    const older = given(welcome(), results(item(5, "x")), stream("a", true), results(repeat(9, "a", 3)))
    assert.deepStrictEqual(task(older.core)?.end, { as: "repeated", first: Cursor.make(3) })
  })
})

describe("Tasks: bounds", () => {
  const full = [welcome(), stream("a"), read("a", 0), results(part(1, "a", 0), part(2, "a", 1))]

  it("holds a part that its reader has no room for, unacknowledged, until the reader has read", () => {
    const { core, when } = givenWith(small, ...full)
    const outputs = when(results(part(3, "a", 2), part(4, "a", 3, { end: "done" })))
    assert.deepStrictEqual([acks(outputs), partsOf(core), endOf(core)], [[], ["1.0", "1.1"], undefined])
    assert.deepStrictEqual(acks(when(read("a", 2))), [4])
    assert.deepStrictEqual([partsOf(core), task(core)?.first, endOf(core)], [["1.2"], 2, "done"])
  })

  it("delivers the results behind a held part, and shows them to no later process that has processed them", () => {
    const { core, when } = givenWith(small, ...full)
    assert.deepStrictEqual(delivered(when(results(part(3, "a", 2), item(4, "x")))), [4])
    assert.deepStrictEqual(acks(when(doneWith(4, 1))), [])
    const next = nextLife(core, small)
    Core.step(next, welcome(2))
    const outputs = Core.step(next, results(part(3, "a", 2), item(4, "x")))
    assert.deepStrictEqual([delivered(outputs), acks(outputs)], [[], [4]])
    assert.deepStrictEqual(partsOf(next)?.at(-1), "1.2")
  })

  it("keeps what it has held when its reader leaves, and forgets the oldest parts instead", () => {
    const { core, when } = givenWith(small, ...full, results(part(3, "a", 2)))
    assert.deepStrictEqual(acks(when(left("a"))), [3])
    assert.deepStrictEqual([partsOf(core)?.at(-1), task(core)?.first], ["1.2", 2])
  })

  it("drops what it has held when the task starts again", () => {
    const { core, when } = givenWith(small, ...full, results(part(3, "a", 2)))
    assert.deepStrictEqual(acks(when(results(part(4, "a", 0, { attempt: 2 })))), [4])
    assert.deepStrictEqual([partsOf(core), core.waiting], [["2.0"], 0])
  })

  it("gives a reader that has read everything the next part, however large", () => {
    const { core, when } = givenWith(small, welcome(), stream("a"), read("a", 0))
    const large = { ...part(1, "a", 0), data: "x".repeat(100) }
    assert.deepStrictEqual(acks(when(results(large, part(2, "a", 1)))), [1])
    assert.deepStrictEqual(acks(when(read("a", 1))), [2])
    assert.deepStrictEqual(partsOf(core), ["1.1"])
  })

  it("forgets an ended task that nobody reads first, once it is acknowledged", () => {
    const ended = [stream("b"), results(part(1, "b", 0, { task: 9 }), part(2, "b", 1, { task: 9, end: "done" }))]
    const more = results(part(3, "a", 0), part(4, "a", 1))
    const { core } = givenWith(small, welcome(), ...ended, stream("a"), read("a", 0), more)
    assert.deepStrictEqual([task(core, "b"), partsOf(core)], [undefined, ["1.0", "1.1"]])
    // A result before it is not done: after a crash its items would come again, for no task that is known.
    const held = givenWith(small, welcome(), results(item(0, "x")), ...ended, stream("a"), read("a", 0), more)
    assert.deepStrictEqual([endOf(held.core, "b"), partsOf(held.core, "b")], ["done", []])
  })

  it("keeps as many tasks as the limits say, and those that are read", () => {
    const { core } = givenWith({ tasks: 2 }, welcome(), stream("a"), read("a", 0), stream("b"), stream("c"))
    assert.deepStrictEqual([...core.ledger.tasks.keys()].map(String), ["a", "c"])
  })
})

describe("Tasks: cancelling", () => {
  const cancelling = (...ids: ReadonlyArray<string>): Core.Input => ({
    _tag: "Heard",
    frame: { type: "cancelling", ids: ids.map((id) => EventId.make(id)) },
  })

  it("writes a cancel once, and again on each connection behind its event, until the log has it", () => {
    const { core, when } = given(stream("a"))
    assert.deepStrictEqual(cancels(when(cancel("a"))), [])
    const outputs = when(welcome())
    assert.deepStrictEqual([written(outputs), cancels(outputs)], [["a"], ["a"]])
    assert.isBelow(tags(outputs).indexOf("Write"), tags(outputs).indexOf("WriteCancels"))
    assert.deepStrictEqual(cancels(when(cancel("a"))), [])
    when(disconnected)
    assert.deepStrictEqual(cancels(when(welcome())), ["a"])
    when(cancelling("a"))
    when(disconnected)
    assert.deepStrictEqual(cancels(when(welcome())), [])
    assert.strictEqual(core.ledger.cancels.size, 0)
  })

  it("remembers a cancel for the next process, before it writes it", () => {
    const { core, when } = given(welcome(), stream("a"), accepted("a"))
    assert.deepStrictEqual(tags(when(cancel("a"))), ["Remember", "WriteCancels"])
    assert.deepStrictEqual(cancels(Core.step(nextLife(core), welcome())), ["a"])
  })

  it("cancels a task that is not streamed too, and forgets the cancel at the end", () => {
    const { core, when } = given(welcome(), send(false, "a"))
    assert.deepStrictEqual(cancels(when(cancel("a"))), ["a"])
    when(results(part(1, "a", 0)))
    assert.strictEqual(core.ledger.cancels.size, 1)
    when(results(part(2, "a", 1, { end: "done" })))
    assert.strictEqual(core.ledger.cancels.size, 0)
  })

  it("does not cancel what has ended, nor an event that is sent after the cancel", () => {
    const { when } = given(welcome(), stream("a"), results(part(1, "a", 0, { end: "done" })))
    assert.deepStrictEqual(tags(when(cancel("a"))), [])
    const later = given(cancel("a"), { _tag: "Send", events: [event("a")], named: false })
    assert.deepStrictEqual(cancels(later.when(welcome())), [])
  })

  it("forgets a cancel whose task is lost, or whose event is refused", () => {
    const refused: Core.Input = { _tag: "Heard", frame: { type: "refused", id: "a", code: "UNKNOWN", message: "no" } }
    assert.isFalse(given(welcome(), stream("a"), cancel("a"), refused).core.ledger.cancels.has(idA))
    const gone = given(welcome(), stream("a"), accepted("a"), cancel("a"), lost(-1, 3))
    assert.isFalse(gone.core.ledger.cancels.has(idA))
  })

  it("forgets the oldest cancel beyond the bound", () => {
    const { core } = givenWith({ cancels: 2 }, cancel("a"), cancel("b"), cancel("c"))
    assert.deepStrictEqual([...core.ledger.cancels].map(String), ["b", "c"])
  })
})
