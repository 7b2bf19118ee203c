import { assert, describe, it } from "@effect/vitest"
import { Cursor, start } from "@nimbus/domain/protocol"
import { Schema } from "effect"
import { Unanswered } from "./Unanswered.ts"

const limits = { client_unanswered_events: 3, unanswered_hold_ms: 1_000 }
const made = () => new Unanswered(limits)

/** One event is read. Returns whether the connection is held from now on. */
const read = (unanswered: Unanswered, waitsForClient = false, now_ms = 0): boolean =>
  unanswered.take() && unanswered.hold(waitsForClient, now_ms)

const taken = (unanswered: Unanswered, count: number) => Array.from({ length: count }, () => read(unanswered))

describe("Unanswered", () => {
  it("holds a connection at the limit, wherever its events are, once", () => {
    const unanswered = made()
    assert.deepStrictEqual(taken(unanswered, 2), [false, false])
    unanswered.accepted([10, 20], start)
    assert.deepStrictEqual(taken(unanswered, 2), [true, false])
    assert.strictEqual(unanswered.size, 4)
  })

  it("a result answers all events up to its seq, and the connection is read again below the limit", () => {
    const unanswered = made()
    taken(unanswered, 4)
    unanswered.accepted([10, 20, 30], start)
    unanswered.delivered(Cursor.make(9))
    assert.isFalse(unanswered.release(false, 0))
    unanswered.delivered(Cursor.make(20))
    assert.strictEqual(unanswered.size, 2)
    assert.isTrue(unanswered.release(false, 0))
    assert.isFalse(unanswered.release(false, 0), "once")
  })

  it("an event whose result was delivered before the log said that it has it is answered", () => {
    const unanswered = made()
    taken(unanswered, 2)
    unanswered.accepted([10, 20], Cursor.make(10))
    assert.strictEqual(unanswered.size, 1)
  })

  it("is not held while its session waits for its acks or its socket", () => {
    const unanswered = made()
    for (let i = 0; i < 10; i++) assert.isFalse(read(unanswered, true))
    assert.isTrue(read(unanswered))
    assert.isTrue(unanswered.release(true, 0))
  })

  it("is held for so long at a time, and again by the next event", () => {
    const unanswered = made()
    taken(unanswered, 3)
    assert.isFalse(unanswered.release(false, 999))
    assert.isTrue(unanswered.release(false, 1_000))
    assert.isTrue(read(unanswered, false, 1_000))
    assert.isFalse(unanswered.release(false, 1_999))
  })

  it("keeps no more than twice the limit of a client that is read although nothing is answered", () => {
    const unanswered = made()
    for (let i = 0; i < 100; i++) read(unanswered, true)
    unanswered.accepted(
      Array.from({ length: 100 }, (_, i) => i),
      start,
    )
    assert.strictEqual(unanswered.size, 6)
  })

  it.prop(
    "is held at the limit alone, and not for longer than it may be, whatever comes in whichever order",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))).check(Schema.isMaxLength(400))],
    ([drawn]) => {
      let at = 0
      const below = (n: number): number => (drawn[at++ % Math.max(1, drawn.length)] ?? 0) % n
      const unanswered = made()
      let [now_ms, since_ms, taken, seq, delivered] = [0, 0, 0, 0, -1]
      const open: Array<number> = []
      for (let i = 0; i < 300; i++) {
        now_ms += below(400)
        const waitsForClient = below(4) === 0
        const what = below(4)
        if (what === 0 && !unanswered.isHeld) {
          taken++
          if (read(unanswered, waitsForClient, now_ms)) {
            since_ms = now_ms
            assert.isFalse(waitsForClient)
            assert.isAtLeast(taken + open.length, limits.client_unanswered_events)
          }
        } else if (what === 1 && taken > 0) {
          const seqs = Array.from({ length: 1 + below(taken) }, () => (seq += 1 + below(3)))
          taken -= seqs.length
          unanswered.accepted(seqs, Cursor.make(delivered))
          open.push(...seqs)
        } else if (what === 2) {
          delivered = Math.max(delivered, below(seq + 1))
          unanswered.delivered(Cursor.make(delivered))
          while (open[0] !== undefined && open[0] <= delivered) open.shift()
        }
        unanswered.release(waitsForClient, now_ms)
        if (!unanswered.isHeld) continue
        assert.isFalse(waitsForClient)
        assert.isBelow(now_ms - since_ms, limits.unanswered_hold_ms)
        assert.isAtLeast(taken + open.length, limits.client_unanswered_events)
      }
    },
    { arbitrary: { runs: 60 } },
  )
})
