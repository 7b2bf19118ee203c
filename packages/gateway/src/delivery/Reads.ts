/**
 * Reads of mailboxes, in turns. A page from a store in this process, and what a transport makes of it, is work of this
 * thread: clients with much to come would keep it from all others. So after `read_turn_ms` of it the event loop goes
 * round once. What waits is bounded: a session has one read under way.
 */
import type { MailboxUnavailable } from "@nimbus/domain/errors"
import type { ClientId, Cursor, Session } from "@nimbus/domain/protocol"
import type { Page, PageLimit } from "@nimbus/domain/services"
import { Effect, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"
import { makeFlusher } from "./Flusher.ts"

interface Waiting {
  readonly connection: { readonly isClosed: boolean }
}

/** A connection whose session reads its mailbox. */
export interface Reader {
  readonly clientId: ClientId
  readonly partition: number
  readonly isClosed: boolean
  readonly settledDlq: number | undefined
  /** `carryOut` follows. */
  step(input: Session.SendingInput): void
  carryOut(): void
}

/** Of a page of the connection's mailbox. */
export interface Read {
  readonly connection: Reader
  readonly after: Cursor
  readonly limit: PageLimit
}

/** `begin` reads a page, and hands it over at once if the store is in this process. */
export const makeReads = <Of extends Waiting>(
  { read_turn_ms }: { readonly read_turn_ms: number },
  now: () => number,
  begin: (read: Of) => void,
): Effect.Effect<(read: Of) => void, never, Scope.Scope> =>
  Effect.gen(function* () {
    let waiting: Array<Of> = []
    const turn = Effect.sync(() => {
      const until_ms = now() + read_turn_ms
      let taken = 0
      while (taken < waiting.length && now() < until_ms) {
        const read = waiting[taken++]!
        if (!read.connection.isClosed) begin(read)
      }
      waiting = waiting.slice(taken)
      if (waiting.length > 0) soon.wake()
    })
    const soon = yield* makeFlusher(turn)
    return (read) => {
      waiting.push(read)
      soon.wake()
    }
  })

/** Gives a page to the session, once it is there; `undefined`: it can't be relied on. */
export const giveTo = (
  connection: Reader,
  page: Effect.Effect<Page | undefined, MailboxUnavailable>,
  counts: Counts,
): Effect.Effect<void> =>
  Effect.match(page, {
    onSuccess: (page) => connection.step(page === undefined ? { _tag: "PageFailed" } : { _tag: "Page", page }),
    onFailure: () => {
      counts.addTo("failed", "read mailbox")
      connection.step({ _tag: "PageFailed" })
    },
  }).pipe(Effect.andThen(Effect.sync(() => connection.carryOut())))
