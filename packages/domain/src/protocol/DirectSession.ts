/**
 * A session of direct delivery: one connection of one client, for which the gateway itself reads the results topic.
 *
 * ```
 *   records of the log, by `Feed` ──▶ ┌──── session ────┐ ──▶ Deliver, Status, Lost, Welcome (to the client)
 *   mailbox pages, `settled`      ──▶ │ delivered, acked│ ──▶ Follow, Leave (the log), Read, Settle (the mailbox)
 *   client's acks                 ──▶ │ position        │ ──▶ Trim (mailbox and offset), Sweep (registry)
 *                                     └─────────────────┘
 *
 *   offset known ──▶ LOG ◀── settled, and a page is short ── MAILBOX ◀── offset lost
 *                     └──── what comes next is retained no more ──▶ ┘
 * ```
 *
 * `position`: the client has, or was sent, every record of its own below this offset of the results topic.
 * `delivered`: the client was sent everything up to this seq.
 *
 * Invariants:
 * 1. Delivered records have growing seqs, and the client has no records between one and the next. The seqs of one
 *    client first appear in the results topic in order. From `position` on, its next record above `delivered` is
 *    therefore the next one, and any record at or below `delivered` is a repeat. Records of other clients are not
 *    compared.
 * 2. At most `window` results are delivered and not acknowledged. At the bound, or while the socket is behind, the
 *    session leaves the log and keeps nothing. Later it asks for the log again from where it stopped.
 * 3. A loss by retention is sent before any later record is delivered, and counts as sent.
 * 4. `fact` is true for any saver at any time: below its offset the client has acknowledged everything.
 * 5. A `position` comes from a saved fact, or from `Settled`: every record below it that the client does not have was
 *    in the mailbox before the short page was read.
 *
 * The session is deterministic, and has no I/O, clock or randomness. Its state is changed in place. The shell carries
 * out the outputs, in order.
 */
import { Result } from "effect"
import type { ClientOffset, Page } from "./Reads.ts"
import type { FeedNews } from "./Feed.ts"
import { type Cursor, start } from "./Ids.ts"
import { decodePlacedBarrier, type Item, isBarrier } from "./Records.ts"
import { invariant } from "./internal/Invariant.ts"
import {
  acknowledged,
  deliver,
  deliverPage,
  hasRoom,
  isAllAcknowledged,
  mayDeliver,
  pageFailed,
  type PageRules,
  pass,
  passLosses,
  read,
  Sending,
  type SendingInput,
  type SendingOptions,
  type SendingOutput,
  setAcked,
  tellStatus,
  welcome,
} from "./internal/Sending.ts"

export { isSent } from "./internal/Sending.ts"

/** What a direct session is told. */
export type Input =
  | SendingInput
  /** What its feed says to one who follows. Who has left passes it over. */
  | FeedNews
  /** All that the client has not acknowledged below this offset of the results topic is in the mailbox by now. */
  | { readonly _tag: "Settled"; readonly handover: number }

/** What a direct session wants done. */
export type Output =
  | SendingOutput
  /** Give it to the feed, which has the log from `position` on. */
  | { readonly _tag: "Follow" }
  /** It can take no more: the feed is to forget it, until it follows again. */
  | { readonly _tag: "Leave" }
  /** Find out from which offset on the log has what no mailbox may have, then `Settled`. One at a time. */
  | { readonly _tag: "Settle" }

type Out = Array<Output>

/** With what is known of how far the client is. */
export interface Options extends SendingOptions {
  /** The mailbox's. */
  readonly acked: Cursor
  /** What was saved of this client, if it is known. */
  readonly stored: ClientOffset | undefined
}

/** What a direct session knows of its client. Only `step` changes it. */
export class State extends Sending {
  /** The mailbox's `acked` when it opened. */
  readonly mailAcked: Cursor
  /** Undefined: the mailbox is read, not the log. */
  position: number | undefined
  following = false
  /** Of what is in the window, in its order: offsets in the results topic; none for what came from the mailbox. */
  readonly offsets: Array<number | undefined> = []
  settling = false
  /** Where the log takes over from the mailbox, once that is settled. */
  handover: number | undefined = undefined
  /** The page under way was asked for after that. */
  readsSettled = false

  constructor(options: Options) {
    const { acked, after, stored } = options
    super("DirectSession", options, highest(after, acked, stored?.seq ?? start))
    this.mailAcked = acked
    this.position = stored?.offset
  }
}

/** A session before its first input, which is `Open`. */
export const make = (options: Options): State => new State(options)

/**
 * Whether nothing more is sent before its client acknowledges, or its socket takes what it was sent: when the window is
 * full, and until a quarter of it is free if it has left the log or reads the mailbox.
 */
export const waitsForClient = (state: State): boolean =>
  !mayDeliver(state) || (!state.following && !state.reading && !hasRoom(state))

/** What may be saved: see `ClientOffsets`. Undefined while the mailbox is read. */
export const factOf = (state: State): ClientOffset | undefined => {
  const offset = isAllAcknowledged(state) ? state.position : state.offsets[0]
  return offset === undefined ? undefined : { offset, seq: state.acked }
}

/** Adds what is to be done to `out`: that of several inputs may be carried out together. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  switch (input._tag) {
    case "Records":
    case "Passed":
    case "Gap":
    case "CaughtUp":
    case "FellBehind":
      if (state.following) onNews(state, input, out)
      break
    case "Ack":
      onAck(state, input.seq, out)
      break
    case "Page":
      onPage(state, input.page, out)
      break
    case "Settled":
      onSettled(state, input.handover, out)
      break
    case "Tick":
      if (state.position !== undefined) break
      pass(state)
      goOn(state, out)
      break
    case "Drained":
      state.stalled = false
      goOn(state, out)
      break
    case "Stalled":
      state.stalled = true
      break
    case "PageFailed":
      pageFailed(state)
      break
    case "Open":
      welcome(state, state.mailAcked, out)
      goOn(state, out)
      break
  }
  return out
}

// The log

const onNews = (state: State, news: FeedNews, out: Out): void => {
  switch (news._tag) {
    case "Records":
      return onRecords(state, news, out)
    case "Passed":
      return passedBy(state, news.next)
    case "Gap":
      state.position = undefined
      state.following = false
      state.handover = undefined
      state.more = true
      state.demotion = "gap"
      tellStatus(state, "REPLAYING", out)
      return goOn(state, out)
    case "CaughtUp":
      return tellStatus(state, "LIVE", out)
    case "FellBehind":
      state.demotion = "behind"
      return tellStatus(state, "REPLAYING", out)
  }
}

const onRecords = (state: State, { next, records }: FeedNews & { readonly _tag: "Records" }, out: Out): void => {
  for (const record of records) {
    if (record.offset < (state.position ?? 0) || record.seq <= state.delivered) continue
    if (isBarrier(record.value)) passBarrier(state, record, out)
    else if (mayDeliver(state)) deliverAt(state, record, record.offset, out)
    else {
      state.position = record.offset
      state.following = false
      out.push({ _tag: "Leave" })
      return
    }
  }
  passedBy(state, next)
}

/** Nothing of this client lies between its position and `next`. */
const passedBy = (state: State, next: number): void => {
  if (state.position !== undefined && next > state.position) state.position = next
}

const deliverAt = (state: State, item: Item, offset: number | undefined, out: Out): void => {
  deliver(state, item, out)
  state.offsets.push(offset)
}

// The mailbox

const onPage = (state: State, page: Page, out: Out): void => {
  state.reading = false
  if (state.position !== undefined) return
  passLosses(state, page, out)
  const isWhole = deliverPage(state, page.records, pageRules, out)
  if (!isWhole || !page.short) state.more = true
  else if (state.readsSettled) {
    invariant(state.handover !== undefined, "DirectSession", 5)
    state.position = state.handover
    state.handover = undefined
  } else if (!state.settling && state.handover === undefined) {
    state.settling = true
    out.push({ _tag: "Settle" })
  }
  goOn(state, out)
}

/** Of a session elsewhere: direct delivery sends none. If it is newer, the registry knows. */
const passBarrier = (state: State, item: Item, out: Out): void => {
  state.delivered = item.seq
  if (isAllAcknowledged(state)) acknowledge(state, item.seq, out)
  const placed = decodePlacedBarrier(item.value)
  if (Result.isSuccess(placed) && placed.success.barrier.epoch > state.epoch) out.push({ _tag: "Sweep" })
}

const pageRules: PageRules<State, Out> = {
  barrier: passBarrier,
  result: (state, item, out) => deliverAt(state, item, undefined, out),
}

const onSettled = (state: State, handover: number, out: Out): void => {
  state.settling = false
  if (state.position !== undefined) return
  state.handover = handover
  state.more = true
  goOn(state, out)
}

// The client

const onAck = (state: State, seq: Cursor, out: Out): void => {
  const before = state.window.results
  const upTo = acknowledged(state, seq)
  if (upTo === undefined) return
  state.offsets.splice(0, before - state.window.results)
  acknowledge(state, upTo, out)
  goOn(state, out)
}

const acknowledge = (state: State, seq: Cursor, out: Out): void => {
  setAcked(state, seq)
  out.push({ _tag: "Trim", seq })
}

/** Asks for more. */
const goOn = (state: State, out: Out): void => {
  if (state.stalled || !hasRoom(state)) return
  if (state.position === undefined) {
    if (!state.more || state.reading) return
    state.readsSettled = state.handover !== undefined
    read(state, out)
  } else if (!state.following) {
    state.following = true
    out.push({ _tag: "Follow" })
  }
}

const highest = (...cursors: ReadonlyArray<Cursor>): Cursor => cursors.reduce((a, b) => (a >= b ? a : b))
