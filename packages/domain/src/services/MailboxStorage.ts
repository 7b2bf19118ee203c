/**
 * The `Mailbox` over a driver. A store is a driver: it reads and writes, each call one atomic step as the contract in
 * `Mailbox.ts` has it. What stores have in common is here and in `MailboxRules.ts`: which partition a client is in, the
 * binding to a log, what a page says, what waits, and the errors.
 *
 * ```
 *   Mailbox ── here ──▶ MailboxDriver ──▶ memory │ LMDB │ Redis │ PostgreSQL
 * ```
 *
 * Nothing of a store is kept here but which log it was claimed for.
 */
import { Effect } from "effect"
import { MailboxUnavailable, StoreMismatch } from "../Errors.ts"
import type { MailboxLimits } from "../Limits.ts"
import type { ClientId, Cursor, Incarnation } from "../protocol/Ids.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { PageLimit } from "../protocol/Reads.ts"
import type { Item } from "../protocol/Records.ts"
import { countForgotten } from "./Forgotten.ts"
import { Mailbox, type MailboxStats, type Put, type PutOutcome } from "./Mailbox.ts"
import { type ClaimingLog, isWaiting, type MailboxState, pageOf } from "./MailboxRules.ts"

/** Where a mailbox is. */
export interface Address {
  readonly clientId: ClientId
  readonly partition: number
}

/** The log that a store was claimed for. */
export interface BoundLog {
  readonly incarnation: Incarnation
  readonly partitions: number
  /** How long a mailbox with nothing in it is kept, in ms; Infinity: for ever. */
  readonly keep_ms: number
}

/** A client's cumulative ack. */
export interface MailboxAck extends Address {
  readonly seq: Cursor
}

/** The moments before which records are too old, and mailboxes idle, in ms since 1970. */
export interface Before {
  readonly age_ms: number
  /** -Infinity: none is. */
  readonly idle_ms: number
}

/** How many records went for their age, and how many mailboxes were forgotten, as far as the store knows. */
export interface Expired {
  readonly removed: number
  readonly forgotten: number
}

/** A store of mailboxes. All but `claim` and `offset` come after a claim. */
export interface MailboxDriver<E> {
  /** Binds what is not bound yet, and fails where `mismatchOf` finds what is bound to another log. */
  readonly claim: (log: ClaimingLog) => Effect.Effect<void, E | StoreMismatch>
  readonly offset: (partition: number) => Effect.Effect<number | undefined, E>
  readonly put: (partition: number, put: Put, log: BoundLog) => Effect.Effect<PutOutcome, E>
  /** The mailbox, and its lowest records above all cursors, as `makeFiller` takes them. */
  readonly page: (
    at: Address,
    after: Cursor,
    limit: PageLimit,
  ) => Effect.Effect<{ readonly state: MailboxState; readonly records: ReadonlyArray<Item> }, E>
  readonly ack: (acks: ReadonlyArray<MailboxAck>, log: BoundLog) => Effect.Effect<void, E>
  /** The mailboxes, in the order asked. `areHere`: their clients are connected, which counts as use. */
  readonly states: (
    asked: ReadonlyArray<Address>,
    areHere: boolean,
    log: BoundLog,
  ) => Effect.Effect<ReadonlyArray<Omit<MailboxState, "unknown">>, E>
  readonly expire: (before: Before, log: BoundLog) => Effect.Effect<Expired, E>
  readonly stats: (at: Address) => Effect.Effect<MailboxStats, E>
}

/** The service over a driver. */
export const make = <E>(driver: MailboxDriver<E>, limits: MailboxLimits): Mailbox["Service"] => {
  let bound: BoundLog | undefined

  const log = (): BoundLog => {
    if (bound === undefined) throw new Error("Mailbox.claim must come before anything else")
    return bound
  }
  const partitionFor = (clientId: ClientId) => partitionOf(clientId, log().partitions)
  const addressOf = (clientId: ClientId): Address => ({ clientId, partition: partitionFor(clientId) })
  const call = <A>(operation: string, use: () => Effect.Effect<A, E>): Effect.Effect<A, MailboxUnavailable> =>
    Effect.mapError(Effect.suspend(use), (cause) => new MailboxUnavailable({ operation, cause }))

  return Mailbox.of({
    claim: Effect.fn("Mailbox.claim")(function* ({ ends, incarnation, partitions, retained_ms = Infinity }) {
      yield* Effect.mapError(driver.claim({ ends, incarnation, partitions }), (cause) =>
        cause instanceof StoreMismatch ? cause : new MailboxUnavailable({ operation: "claim", cause }),
      )
      bound = { incarnation, partitions, keep_ms: Math.max(limits.mailbox_idle_ms, retained_ms) }
    }),
    offset: (partition) => call("offset", () => driver.offset(partition)),
    put: (partition, put) => call("put", () => driver.put(partition, put, log())),
    page: (clientId, after, limit) =>
      call("page", () =>
        Effect.map(driver.page(addressOf(clientId), after, limit), ({ records, state }) =>
          pageOf(state, after, records),
        ),
      ),
    ack: (acks) =>
      call("ack", () =>
        driver.ack(
          acks.map(({ clientId, seq }) => ({ clientId, partition: partitionFor(clientId), seq })),
          log(),
        ),
      ),
    waiting: (asked, areHere = false) =>
      call("waiting", () =>
        Effect.map(
          driver.states(
            asked.map(({ clientId }) => addressOf(clientId)),
            areHere,
            log(),
          ),
          (states) => states.map((state, i) => isWaiting(state, asked[i]!.after)),
        ),
      ),
    expire: (now_ms) =>
      call("expire", () =>
        driver.expire({ age_ms: now_ms - limits.mailbox_age_ms, idle_ms: now_ms - log().keep_ms }, log()),
      ).pipe(Effect.flatMap(({ forgotten, removed }) => Effect.as(countForgotten("mailboxes", forgotten), removed))),
    stats: (clientId) => call("stats", () => driver.stats(addressOf(clientId))),
  })
}
