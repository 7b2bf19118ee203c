import { assert, describe, it } from "@effect/vitest"
import { ChatMessageId, encodeChat, Incarnation, RoomId } from "@nimbus/domain/protocol"
import { Repeats } from "./Repeats.ts"

const said = (offset: number, id: string, { author = "a", room = "r" } = {}) => ({
  ...encodeChat({ room: RoomId.make(room), id: ChatMessageId.make(id), sender: "s", data: offset }, author),
  offset,
  timestamp: offset,
})
const make = (limits = { repeat_records: 10 }) => new Repeats(limits, Incarnation.make("a life"), "a secret")
const m1 = { room: "r", author: "a", id: "m1" }

describe("Repeats", () => {
  it("finds the same author's message with the same id in the same room, and nothing else", () => {
    const repeats = make()
    assert.isUndefined(repeats.take(said(1, "m1")))
    for (const other of [said(2, "m2"), said(3, "m1", { author: "b" }), said(4, "m1", { room: "s" })]) {
      assert.isUndefined(repeats.take(other))
    }
    assert.strictEqual(repeats.take(said(5, "m1")), 1)
    assert.strictEqual(repeats.take(said(6, "m1")), 1)
    assert.deepStrictEqual(
      [4, 5, 6].map((offset) => repeats.firstOf(offset)),
      [undefined, 1, 1],
    )
    assert.strictEqual(repeats.saidAt(m1), 1)
  })

  it("knows nothing of messages whose id is the gateway's own", () => {
    const repeats = make()
    const { headers: _headers, ...bare } = said(1, "m1")
    for (const offset of [1, 2]) assert.isUndefined(repeats.take({ ...bare, offset }))
  })

  it("forgets what is out of its window, whenever that was", () => {
    const repeats = make()
    repeats.take(said(1, "m1"))
    repeats.take(said(10, "m2"))
    assert.strictEqual(repeats.saidAt(m1), 1)
    repeats.take(said(11, "m2"))
    assert.isUndefined(repeats.saidAt(m1))
    assert.isUndefined(repeats.take(said(12, "m1")))
    assert.strictEqual(repeats.saidAt(m1), 12)
  })

  it("remembers as many repeats as its bound, the newest", () => {
    const repeats = make({ repeat_records: 3 })
    for (let offset = 0; offset < 100; offset++) repeats.take(said(offset, "m1"))
    const known = Array.from({ length: 100 }, (_, offset) => offset).filter(
      (offset) => repeats.firstOf(offset) !== undefined,
    )
    assert.deepStrictEqual(known, [97, 98, 99])
  })
})
