import { assert } from "@effect/vitest"
import { ClientId, Cursor, Incarnation, Seq, start } from "../protocol/Ids.ts"
import { Mailbox } from "../services/Mailbox.ts"
import { Effect } from "effect"

const everything = { results: 100, bytes: 10_000 }
const [c1, c2] = [ClientId.make("c1"), ClientId.make("c2")]

/**
 * What the tests have of mailboxes that an earlier version has stored, whatever the store: seqs 5 to 7 of `c1`, of which 3
 * is acknowledged, and 8 to 11 of `c2`, whose `floor` is 4. It is delivered, and the store takes more.
 */
export const deliversStoredBefore = Effect.gen(function* () {
  const mailbox = yield* Mailbox
  yield* mailbox.claim({ incarnation: Incarnation.make("log-1"), partitions: 1, ends: [100] })
  assert.strictEqual(yield* mailbox.offset(0), 9)

  const page = yield* mailbox.page(c1, start, everything)
  assert.deepStrictEqual(
    page.records.map(({ headers, seq, value }) => [Number(seq), Buffer.from(value).toString(), headers]),
    [
      [5, '{"seq":5}', { traceparent: "ü" }],
      [6, '{"seq":6}', undefined],
      [7, '{"seq":7}', undefined],
    ],
  )
  assert.deepInclude(page, { short: true, acked: Seq.make(3), floor: start, hole: Seq.make(2) })
  assert.deepStrictEqual(yield* mailbox.stats(c2), { results: 4, bytes: 38, acked: start, floor: Seq.make(4) })

  const value = Buffer.from("new")
  const records = [4, 9, 12].map((seq) => ({ clientId: c2, seq: Seq.make(seq), value, timestamp: 1 }))
  assert.strictEqual((yield* mailbox.put(0, { expected: 9, next: 12, records }))._tag, "Stored")
  const after = yield* mailbox.page(c2, Cursor.make(8), everything)
  assert.deepStrictEqual(
    after.records.map(({ value }) => Buffer.from(value).toString()),
    ['{"seq":9}', '{"seq":10}', '{"seq":11}', "new"],
  )
})
