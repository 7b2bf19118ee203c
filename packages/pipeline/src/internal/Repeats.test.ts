import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { repeatLimits } from "@nimbus/domain/limits"
import { ClientId, type Event, EventId, Incarnation, RepeatWindow, seqUnsafe } from "@nimbus/domain/protocol"
import { Repeats } from "./Repeats.ts"

const life = Incarnation.make("a life")
const secret = "a secret"
const event = (type: Event["type"], id: string): Event => ({ type, id: EventId.make(id), name: "sq", data: null })
const limits = { dedupe_records: 10, spilled_repeats: 3 }

/** Records of few clients and ids, with holes: barriers, records of nobody, and offsets without a record. */
const drawn = Schema.Array(
  Schema.Struct({
    gap: Schema.Literals([0, 0, 0, 1, 2, 12]),
    clientId: Schema.Literals(["a", "b"]),
    type: Schema.Literals(["event", "event", "message"]),
    id: Schema.Literals(["1", "2", "3"]),
  }),
)

type Drawn = typeof drawn.Type
const logOf = (records: Drawn) => {
  let offset = -1
  return records.map(({ gap, ...record }) => ({ ...record, offset: (offset += gap + 1) }))
}
type Log = ReturnType<typeof logOf>

/** The rule as it is written down. */
const ruled = (log: Log, dedupe_records: number) =>
  log.map(
    ({ clientId, id, offset, type }) =>
      log.find(
        (one) =>
          one.clientId === clientId &&
          one.type === type &&
          one.id === id &&
          one.offset < offset &&
          one.offset > offset - dedupe_records,
      )?.offset,
  )

/** An owner that begins at this commit. */
const ownerOf = (log: Log, commit: number, dedupe_records: number) => {
  const repeats = new Repeats({ ...limits, dedupe_records }, life, secret)
  const from = repeats.from(commit)
  return log
    .filter(({ offset }) => offset >= from)
    .map(({ clientId, id, offset, type }) => repeats.take(offset, ClientId.make(clientId), event(type, id)))
    .slice(log.filter(({ offset }) => offset >= from && offset < commit).length)
}

describe("Repeats", () => {
  it.prop(
    "has the same verdict on each record, wherever an owner crashed and whatever it had committed",
    {
      records: drawn,
      commit: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })),
      dedupe_records: Schema.Literals([1, 2, 5, 10, 40]),
    },
    ({ commit, dedupe_records, records }) => {
      const log = logOf(records)
      const verdicts = ruled(log, dedupe_records).slice(log.filter(({ offset }) => offset < commit).length)
      assert.deepStrictEqual<ReadonlyArray<number | undefined>>(ownerOf(log, commit, dedupe_records), verdicts)
    },
    { arbitrary: { runs: 500 } },
  )

  it("keeps apart what events and messages, and other clients, call the same", () => {
    const repeats = new Repeats(limits, life, secret)
    const uses = [
      ["a", "event", "1 2"],
      ["a", "message", "1 2"],
      ["b", "event", "1 2"],
      ["a", "event", "1"],
      ["a", "event", "1 2"],
    ] as const
    assert.deepStrictEqual<ReadonlyArray<number | undefined>>(
      uses.map(([clientId, type, id], offset) => repeats.take(offset, ClientId.make(clientId), event(type, id))),
      [undefined, undefined, undefined, undefined, 0],
    )
  })

  it("says again what it said of a record that was spilled, once, and takes no more at its bound", () => {
    const repeats = new Repeats(limits, life, secret)
    for (const offset of [5, 6, 7]) {
      assert.isFalse(repeats.isFull)
      repeats.spill(offset, seqUnsafe(offset - 4))
    }
    assert.isTrue(repeats.isFull)
    assert.strictEqual<number | undefined>(repeats.again(6), 2)
    assert.isUndefined(repeats.again(6))
    assert.isFalse(repeats.isFull)
    repeats.gone(7)
    assert.deepStrictEqual(repeats.size, { spilled: 1 })
    assert.strictEqual<number | undefined>(repeats.again(7), 3)
  })

  it("takes up at most 2 MB for a partition, with all that may be spilled", () => {
    const { bytes } = new RepeatWindow(repeatLimits, life, secret)
    const entry_bytes = 64
    assert.isAtMost(bytes + entry_bytes * repeatLimits.spilled_repeats, 2_000_000)
  })
})
