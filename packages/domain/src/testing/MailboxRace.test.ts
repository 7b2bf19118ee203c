import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mailboxLimits } from "../Limits.ts"
import type { Mailbox } from "../services/Mailbox.ts"
import { makeMemory } from "../services/MailboxMemory.ts"
import { clientIn, log } from "./MailboxModel.ts"
import { type Call, isExplained } from "./MailboxRace.ts"

const client = clientIn(0)
const put = (expected: number | undefined, next: number, ...seqs: ReadonlyArray<number>): Call => ({
  _tag: "Put",
  expected,
  next,
  hole: undefined,
  records: seqs.map((seq) => ({ client, seq })),
})
const page: Call = { _tag: "Page", client, after: -1, results: 9 }
const ack = (seq: number): Call => ({ _tag: "Ack", client, seq })

/** Two callers that put at the same time, and one that reads and acknowledges. */
const callers = [[put(undefined, 1, 3, 4), put(1, 2, 5)], [put(undefined, 2, 7)], [page, ack(4), page]]

const check = (change: (mailbox: Mailbox["Service"]) => Partial<Mailbox["Service"]>) =>
  Effect.gen(function* () {
    const { mailbox } = makeMemory()
    yield* mailbox.claim(log)
    return yield* isExplained({ ...mailbox, ...change(mailbox) }, mailboxLimits, callers)
  })

describe("MailboxRace", () => {
  it.effect("explains what the store in memory does, also where others come in between", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* check(() => ({})))
      const slow = check(({ page, put }) => ({
        page: (...args) => Effect.andThen(Effect.yieldNow, page(...args)),
        put: (...args) => Effect.andThen(Effect.yieldNow, put(...args)),
      }))
      assert.isTrue(yield* slow)
    }),
  )

  it.effect("does not explain a put that compares first and stores later", () =>
    Effect.gen(function* () {
      const torn = check(({ offset, put }) => ({
        put: Effect.fnUntraced(function* (partition, chunk) {
          const stored = yield* offset(partition)
          if (stored !== chunk.expected) return { _tag: "Differs", stored }
          yield* Effect.yieldNow
          return yield* put(partition, { ...chunk, expected: yield* offset(partition) })
        }),
      }))
      assert.isFalse(yield* torn)
    }),
  )

  it.effect("does not explain an ack or a put that is forgotten", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* check(() => ({ ack: () => Effect.void })))
      assert.isFalse(yield* check(() => ({ put: () => Effect.succeed({ _tag: "Stored" }) })))
    }),
  )

  it.effect("does not explain a page of before what was over when it was asked for", () =>
    Effect.gen(function* () {
      const stale = check(({ page }) => {
        const first = new Map<string, Effect.Success<ReturnType<typeof page>>>()
        return {
          page: Effect.fnUntraced(function* (clientId, after, limit) {
            const found = first.get(clientId) ?? (yield* page(clientId, after, limit))
            first.set(clientId, found)
            return found
          }),
        }
      })
      assert.isFalse(yield* stale)
    }),
  )
})
