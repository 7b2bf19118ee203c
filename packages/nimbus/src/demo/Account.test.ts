import { assert, describe, it } from "@effect/vitest"
import type { Memory } from "@nimbus/client"
import { Cursor, EventId, type Frames, Incarnation, Seq } from "@nimbus/domain/protocol"
import { Account } from "./Account.ts"
import type { Entry } from "./Journal.ts"
import { clientRow, messageName, messagesRow, totalOf } from "./Report.ts"

const id = (n: number) => EventId.make(`e${n}`)
const saved = (...changes: ReadonlyArray<Memory.Change>): Entry => ({ _tag: "Saved", changes })
const entered = (log = "log-0", last = -1) =>
  saved({ _tag: "Entered", log: Incarnation.make(log), last: Cursor.make(last) })
const sent = (...numbers: ReadonlyArray<number>) =>
  saved({
    _tag: "Sent",
    events: numbers.map((number) => ({
      id: id(number),
      frame: JSON.stringify({ type: "event", id: id(number), name: "sq", data: { number } }),
    })),
  })
const settled = (...numbers: ReadonlyArray<number>) => saved({ _tag: "Settled", ids: numbers.map(id) })
const square = (number: number, seq: number): Frames.ResultItem => ({
  seq: Seq.make(seq),
  id: id(number),
  name: "sq",
  data: { number, result: number ** 2 },
})
const received = (...items: ReadonlyArray<Frames.ResultItem>): Entry => ({ _tag: "Received", items })

const clean = { lost: 0, repeated: 0, outOfOrder: 0 }
const rowOf = (...entries: ReadonlyArray<Entry>) => clientRow("c", new Account(entries))

describe("Account: what the SDK goes on from", () => {
  it("is what the SDK has saved", () => {
    const account = new Account([entered(), sent(1, 2), settled(1)])
    const { last, log, unaccepted } = account.remembered()
    assert.deepStrictEqual([log, last, unaccepted.map(({ id }) => id)], ["log-0", -1, ["e2"]])
  })

  it("is after the last result that was shown, although the SDK has not saved that it is done", () => {
    const account = new Account([entered(), sent(1, 2), received(square(1, 4), square(2, 6))])
    const { last, unaccepted } = account.remembered()
    assert.strictEqual(last, 6)
    assert.deepStrictEqual(unaccepted, [])
    account.add(saved({ _tag: "Reached", last: Cursor.make(4) }))
    assert.strictEqual(account.remembered().last, 6)
    account.add(saved({ _tag: "Reached", last: Cursor.make(9) }))
    assert.strictEqual(account.remembered().last, 9)
  })

  it("knows the first answer to what was sent twice, although the SDK has not saved it", () => {
    const account = new Account([
      entered(),
      sent(1),
      received(square(1, 4)),
      saved({ _tag: "Doubted", ids: [id(1), id(2)] }),
    ])
    assert.deepStrictEqual(account.remembered().doubtful, [{ id: id(1), answered: Cursor.make(4) }, { id: id(2) }])
    account.add(entered("log-1"))
    assert.deepStrictEqual(account.remembered().doubtful, [{ id: id(1), answered: Cursor.make(-1) }, { id: id(2) }])
  })

  it("goes on with the next number", () => {
    assert.strictEqual(new Account([]).next, 1)
    assert.strictEqual(new Account([sent(1, 2), sent(3)]).next, 4)
  })
})

describe("Report", () => {
  it("finds nothing wrong with one right result for each event, in order", () => {
    const row = rowOf(entered(), sent(1, 2), settled(1), received(square(1, 4)), received(square(2, 5)))
    assert.deepStrictEqual(row, { name: "c", sent: 2, accepted: 2, received: 2, ...clean })
  })

  it.each([
    ["an event without a result", [sent(1, 2), settled(1, 2), received(square(1, 4))], { lost: 1 }],
    ["an event that was never accepted", [sent(1, 2), received(square(1, 4))], { lost: 1 }],
    ["a wrong result", [sent(2), received({ ...square(2, 4), data: { number: 2, result: 5 } })], { lost: 1 }],
    ["a result twice", [sent(1), received(square(1, 4), square(1, 5))], { repeated: 1 }],
    ["a result that nobody asked for", [sent(1), received(square(1, 4), square(2, 5))], { repeated: 1 }],
    ["a lower seq", [sent(1, 2), received(square(1, 5), square(2, 4))], { outOfOrder: 1 }],
    ["a lower number", [sent(1, 2), received(square(2, 4), square(1, 5))], { outOfOrder: 1 }],
  ] as const)("counts %s", (_, entries, wrong) => {
    assert.deepStrictEqual(totalOf([rowOf(entered(), ...entries)]), { ...clean, ...wrong })
  })

  it("compares seqs within one log only", () => {
    const row = rowOf(entered(), sent(1, 2), received(square(1, 50)), entered("log-1"), received(square(2, 0)))
    assert.strictEqual(row.outOfOrder, 0)
  })

  it("holds the messages to their sender's account, and them apart from the client's own events", () => {
    const note = (number: number, seq: number) => ({ ...square(number, seq), name: messageName, data: { number } })
    const posted: Entry = { _tag: "Posted", messages: [1, 2, 3].map((number) => ({ id: id(number), number })) }
    const sender = new Account([posted, { _tag: "Receipted", ids: [id(1)] }])
    const client = new Account([entered(), received(note(1, 1), note(2, 2))])
    // The second came without its receipt; whether the third ever reached the log nobody knows.
    assert.deepStrictEqual(messagesRow("m", sender, client), { name: "m", sent: 3, accepted: 2, received: 2, ...clean })
    assert.deepStrictEqual(clientRow("c", client), { name: "c", sent: 0, accepted: 0, received: 0, ...clean })
    assert.strictEqual(messagesRow("m", sender, new Account([])).lost, 1)
  })
})
