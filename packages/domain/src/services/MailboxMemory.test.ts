import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Cursor, start } from "../protocol/Ids.ts"
import { mailboxLimits } from "../Limits.ts"
import { layerMemory, makeMemory } from "./MailboxMemory.ts"
import { clientIn, log, record } from "../testing/MailboxModel.ts"
import { mailboxSuite } from "../testing/MailboxSuite.ts"

mailboxSuite("Mailbox in memory", layerMemory)

describe("MailboxMemory", () => {
  const client = clientIn(0)
  const everything = { results: 100, bytes: 10_000 }
  const put = (seq: number, expected: number | undefined) => ({
    expected,
    next: (expected ?? 0) + 1,
    records: [record(client, seq)],
  })

  it.effect("rolls back records, acks, floor, hole and offsets together", () =>
    Effect.gen(function* () {
      const { mailbox, restore, snapshot } = makeMemory({
        ...mailboxLimits,
        mailbox_results: 2,
        mailbox_bytes: 1_000,
        mailbox_age_ms: 1_000,
      })
      yield* mailbox.claim(log)
      yield* mailbox.put(0, put(1, undefined))
      const before = yield* mailbox.page(client, start, everything)
      const then = snapshot()

      for (const round of [2, 3]) {
        yield* mailbox.put(0, put(round, 1))
        yield* mailbox.put(0, { ...put(round + 10, 2), hole: record(client, 9).seq })
        yield* mailbox.put(0, put(round + 20, 3))
        yield* mailbox.ack([{ clientId: client, seq: Cursor.make(round) }])
        assert.notDeepEqual(yield* mailbox.page(client, start, everything), before)

        restore(then)
        assert.deepStrictEqual(yield* mailbox.page(client, start, everything), before)
        assert.strictEqual(yield* mailbox.offset(0), 1)
      }
    }),
  )

  it.effect("takes use before a claim for a mistake", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(makeMemory().mailbox.offset(0))
      assert.include(String(exit), "claim")
    }),
  )
})
