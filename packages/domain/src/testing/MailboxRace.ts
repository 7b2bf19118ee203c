/**
 * Checks whether the store in memory explains the replies to concurrent calls of a mailbox store: run one after another
 * in some order, the calls give these replies and lead to this state. An order is allowed only if no call comes before
 * one that had ended when it began (linearizability, checked by the search of Wing and Gong).
 *
 * All calls are for one partition, and each for at most one client, because a store processes a batch for several
 * clients in steps.
 */
import { Effect, Schema } from "effect"
import { Cursor, Seq } from "../protocol/Ids.ts"
import type { MailboxLimits } from "../Limits.ts"
import type { Mailbox } from "../services/Mailbox.ts"
import { makeMemory } from "../services/MailboxMemory.ts"
import { clientIn, log, readable, record } from "./MailboxModel.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const clients = [clientIn(0, 0), clientIn(0, 1)] as const
const client = Schema.Literals(clients)
/** Few, so that puts interfere. */
const offset = int(0, 3)

/** A call, with low seqs and few clients, so that calls interfere. */
export const Call = Schema.TaggedUnion({
  Put: {
    expected: Schema.UndefinedOr(offset),
    next: offset,
    hole: Schema.UndefinedOr(int(0, 9)),
    records: Schema.Array(Schema.Struct({ client, seq: int(0, 20) })).check(Schema.isMaxLength(6)),
  },
  Ack: { client, seq: int(0, 20) },
  Page: { client, after: int(-1, 20), results: int(1, 9) },
  Waiting: { client, after: int(-1, 20) },
  Stats: { client },
  Offset: {},
})
export type Call = typeof Call.Type

/**
 * Runs calls, those of one caller in sequence and the callers concurrently, and checks whether the store in memory
 * explains them.
 */
export const isExplained = Effect.fnUntraced(function* (
  mailbox: Mailbox["Service"],
  limits: MailboxLimits,
  callers: ReadonlyArray<ReadonlyArray<Call>>,
) {
  yield* mailbox.claim(log)
  let moment = 0
  const make = Effect.fnUntraced(function* (call: Call): Effect.fn.Return<Seen, unknown> {
    const began = moment++
    const answer = yield* perform(mailbox, call)
    return { call, began, ended: moment++, answer }
  })
  const seen = yield* Effect.forEach(callers, (calls) => Effect.forEach(calls, make), { concurrency: "unbounded" })
  const left = yield* Effect.forEach(everything, make)
  return yield* explains([...seen, left], limits)
})

/** The observation of a caller: the call took place between two moments. */
interface Seen {
  readonly call: Call
  readonly began: number
  readonly ended: number
  readonly answer: string
}

/** The state that is read when all callers are done. */
const everything: ReadonlyArray<Call> = [
  { _tag: "Offset" },
  ...clients.flatMap((client): ReadonlyArray<Call> => [
    { _tag: "Page", client, after: -1, results: 100 },
    { _tag: "Stats", client },
  ]),
]

const perform = (mailbox: Mailbox["Service"], call: Call): Effect.Effect<string, unknown> =>
  Effect.map(answerOf(mailbox, call), (answer) => JSON.stringify(answer ?? null))

const answerOf = (mailbox: Mailbox["Service"], call: Call): Effect.Effect<unknown, unknown> =>
  Call.match(call, {
    Put: ({ expected, hole, next, records }): Effect.Effect<unknown, unknown> =>
      mailbox.put(0, {
        expected,
        next,
        hole: hole === undefined ? undefined : Seq.make(hole),
        records: records.map(({ client, seq }) => record(client, seq)),
      }),
    Ack: ({ client, seq }) => mailbox.ack([{ clientId: client, seq: Cursor.make(seq) }]),
    Page: ({ after, client, results }) =>
      Effect.map(mailbox.page(client, Cursor.make(after), { results, bytes: 1_000_000 }), readable),
    Waiting: ({ after, client }) => mailbox.waiting([{ clientId: client, after: Cursor.make(after) }]),
    Stats: ({ client }) => mailbox.stats(client),
    Offset: () => mailbox.offset(0),
  })

/** Searches for an order, depth first. A position with the same state is searched once. */
const explains = Effect.fnUntraced(function* (
  callers: ReadonlyArray<ReadonlyArray<Seen>>,
  limits: MailboxLimits,
): Effect.fn.Return<boolean, unknown> {
  const { mailbox, restore, snapshot } = makeMemory(limits)
  yield* mailbox.claim(log)
  const visited = new Set<string>()
  const stateOf = Effect.map(
    Effect.forEach(everything, (call) => perform(mailbox, call)),
    (answers) => answers.join(),
  )
  const search = Effect.fnUntraced(function* (at: ReadonlyArray<number>): Effect.fn.Return<boolean, unknown> {
    const position = `${at.join()} ${yield* stateOf}`
    if (visited.has(position)) return false
    visited.add(position)
    const heads = callers.map((calls, i) => calls[at[i] ?? 0])
    if (heads.every((head) => head === undefined)) return true
    const firstEnd = Math.min(...heads.map((head) => head?.ended ?? Infinity))
    const before = snapshot()
    for (const [i, head] of heads.entries()) {
      if (head === undefined || head.began > firstEnd) continue
      restore(before)
      const fits = (yield* perform(mailbox, head.call)) === head.answer
      if (fits && (yield* search(at.with(i, (at[i] ?? 0) + 1)))) return true
    }
    return false
  })
  return yield* search(callers.map(() => 0))
})
