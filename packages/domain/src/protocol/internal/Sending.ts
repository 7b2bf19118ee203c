/**
 * What both kinds of session know of their client, and the rules that they share: what was delivered, acknowledged and
 * lost, the window, and the page of the mailbox that is under way. Invariants 1 to 4 of their headers are asserted
 * here.
 */
import { type ClientId, type Cursor, type Epoch, type PodId, type Seq, seqUnsafe, start } from "../Ids.ts"
import type { SessionLimits } from "../../Limits.ts"
import type { Page, PageLimit } from "../Reads.ts"
import { isBarrier, type Item } from "../Records.ts"
import type { StatusName } from "../Status.ts"
import { invariant } from "./Invariant.ts"
import { Window } from "./Window.ts"

/** What every kind of session may want done. */
export type SendingOutput =
  /** The session knows where it starts: `after` counts as received. */
  | { readonly _tag: "Welcome"; readonly after: Cursor }
  | { readonly _tag: "Deliver"; readonly items: ReadonlyArray<Item> }
  | { readonly _tag: "Status"; readonly status: StatusName }
  /** Retention removed results after `after` up to `upTo`; no `upTo`: range unknown. */
  | { readonly _tag: "Lost"; readonly after: Cursor; readonly upTo: Seq | undefined }
  /** Read a page of the mailbox, then `Page` or `PageFailed`. One at a time. */
  | { readonly _tag: "Read"; readonly after: Cursor; readonly limit: PageLimit }
  /** To the mailbox, soon. */
  | { readonly _tag: "Trim"; readonly seq: Cursor }
  /** Write this session to the registry now: somebody else's barrier came by. */
  | { readonly _tag: "Sweep" }

/** What every kind of session is told. */
export type SendingInput =
  /** The first one. */
  | { readonly _tag: "Open" }
  /** A page of the mailbox, as asked for by `Read`. */
  | { readonly _tag: "Page"; readonly page: Page }
  /** The page could not be read, or can't be relied on. */
  | { readonly _tag: "PageFailed" }
  /** The client has everything up to `seq`. Of one that was never sent (`isSent`) nothing is taken. */
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  /** The transport can't write to the socket now: like a full window. */
  | { readonly _tag: "Stalled" }
  /** It can again. */
  | { readonly _tag: "Drained" }
  /** Time passes. */
  | { readonly _tag: "Tick" }

/** Why a session that was LIVE went back to REPLAYING: for metrics. */
export type Demotion =
  /** A push came before one that it follows. */
  | "gap"
  /** A push came of another route than the one it is LIVE by. */
  | "route"
  /** More was held for a gap than may be: a push was dropped. */
  | "dropped"
  /** The same while the window was full or the socket behind. */
  | "slow"
  /** There was a record in the mailbox. */
  | "mail"
  /** Direct delivery: it is not at the end of the log any more. */
  | "behind"

/** Who the client is, and what bounds its session. */
export interface SendingOptions {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  /** The client's own: everything up to here it has. */
  readonly after: Cursor
  readonly limits: SessionLimits
}

/** A class, so that all of a session's fields lie in one object: it is looked at for each result. */
export class Sending {
  /** Whose invariants these are. */
  readonly core: "Session" | "DirectSession"
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  readonly limits: SessionLimits
  /** It does not know yet where it starts. */
  opening = true
  /** Everything up to here was delivered. */
  delivered: Cursor
  /** The client's cumulative ack. */
  acked: Cursor
  readonly window: Window
  stalled = false
  reading = false
  /** There may be more above `delivered` than was read. */
  more = true
  ticksSinceRead = 0
  /** How many results were delivered from the mailbox, in all. */
  replayed = 0
  toldHole: Cursor = start
  /** The lowest ack that proves that the client knows of the last loss; `undefined` once it came. */
  lossProof: number | undefined = undefined
  /** What the client was told. */
  status: StatusName = "REPLAYING"
  /** Why it is not LIVE any more, where it was. */
  demotion: Demotion = "gap"

  constructor(core: Sending["core"], { clientId, epoch, limits, pod }: SendingOptions, delivered: Cursor) {
    this.core = core
    this.clientId = clientId
    this.epoch = epoch
    this.pod = pod
    this.limits = limits
    this.delivered = delivered
    this.acked = delivered
    this.window = new Window(limits.window_results, limits.window_bytes)
  }
}

/** Where the outputs of a core go that has these among its own. */
export interface Outputs {
  readonly length: number
  readonly [index: number]: { readonly _tag: string }
  push(output: SendingOutput): unknown
}

/** It starts here. The client's own `after` is an ack of all up to it. */
export const welcome = (state: Sending, acked: Cursor, out: Outputs): void => {
  state.opening = false
  if (acked > state.delivered) state.delivered = acked
  state.acked = state.delivered
  out.push({ _tag: "Welcome", after: state.delivered })
  if (state.delivered > acked) out.push({ _tag: "Trim", seq: state.delivered })
}

// Delivering

/** Whether the client may be sent results now: its window has room, and its socket has taken what it was sent. */
export const mayDeliver = ({ stalled, window }: Sending): boolean => !stalled && window.isOpen

/** Deliveries that follow one another are one output. */
export const deliver = (state: Sending, item: Item, out: Outputs): void => {
  invariant(item.seq > state.delivered, state.core, 1)
  invariant(state.window.isOpen && !state.stalled, state.core, 2)
  state.delivered = item.seq
  state.window.add(item.seq, item.value.length)
  const last = lastOf(out)
  if (last !== undefined && isDelivering(last)) last.items.push(item)
  else {
    const delivering: Delivering = { _tag: "Deliver", items: [item] }
    out.push(delivering)
  }
}

/** Of an empty array, -1 would be looked up by its name, which takes longer than all the rest. */
const lastOf = <A>(all: { readonly length: number; readonly [index: number]: A }): A | undefined =>
  all.length === 0 ? undefined : all[all.length - 1]

interface Delivering {
  readonly _tag: "Deliver"
  readonly items: Array<Item>
}

const isDelivering = (output: { readonly _tag: string }): output is Delivering => output._tag === "Deliver"

/** How a kind of session takes the records of a page. */
export interface PageRules<State extends Sending, Out extends Outputs> {
  readonly barrier: (state: State, item: Item, out: Out) => void
  readonly result: (state: State, item: Item, out: Out) => void
}

/** *From the mailbox*: the lowest record above `delivered`. `false` if the window filled up before the end. */
export const deliverPage = <State extends Sending, Out extends Outputs>(
  state: State,
  records: ReadonlyArray<Item>,
  rules: PageRules<State, Out>,
  out: Out,
): boolean => {
  for (const item of records) {
    if (item.seq <= state.delivered) continue
    if (isBarrier(item.value)) rules.barrier(state, item, out)
    else if (!mayDeliver(state)) return false
    else {
      rules.result(state, item, out)
      state.replayed++
    }
  }
  return true
}

/** What retention removed is told, never passed over in silence. */
export const passLosses = (state: Sending, page: Page, out: Outputs): void => {
  if (page.hole > state.toldHole && page.hole - 1 > state.delivered) {
    state.toldHole = page.hole
    state.lossProof = state.delivered + 1
    out.push({ _tag: "Lost", after: state.delivered, upTo: undefined })
  }
  if (page.floor > state.delivered) {
    state.lossProof = page.floor
    out.push({ _tag: "Lost", after: state.delivered, upTo: seqUnsafe(page.floor) })
    state.delivered = page.floor
  }
}

// Acks

/** Whether the client can have it. */
export const isSent = ({ delivered, opening }: Sending, seq: Cursor): boolean => !opening && seq <= delivered

/**
 * Whether nothing that was sent awaits its ack, a loss included: to acknowledge a loss that went into a dead socket
 * would be to pass over it in silence.
 */
export const isAllAcknowledged = ({ lossProof, window }: Sending): boolean =>
  window.results === 0 && lossProof === undefined

/** Answers up to where everything is acknowledged; `undefined` where that is nothing new. */
export const acknowledged = (state: Sending, seq: Cursor): Cursor | undefined => {
  if (!isSent(state, seq) || seq <= state.acked) return undefined
  state.window.acknowledge(seq)
  if (state.lossProof !== undefined && seq >= state.lossProof) state.lossProof = undefined
  return isAllAcknowledged(state) ? state.delivered : seq
}

export const setAcked = (state: Sending, seq: Cursor): void => {
  invariant(state.lossProof === undefined || seq < state.lossProof, state.core, 3)
  invariant(seq > state.acked && seq <= state.delivered && state.window.isAcknowledged(seq), state.core, 4)
  state.acked = seq
}

// Pages

/** Whether a quarter of the window is free: nothing more is asked for before. */
export const hasRoom = ({ limits, window }: Sending): boolean =>
  window.results === 0 ||
  (window.freeResults >= limits.window_results / 4 && window.freeBytes >= limits.window_bytes / 4)

/** While earlier records await their acks. */
export const read = (state: Sending, out: Outputs): void => {
  const { limits, window } = state
  state.reading = true
  state.more = false
  state.ticksSinceRead = 0
  out.push({
    _tag: "Read",
    after: state.delivered,
    limit: {
      results: Math.max(1, Math.min(limits.page_results, window.freeResults)),
      bytes: Math.max(1, Math.min(limits.page_bytes, window.freeBytes)),
    },
  })
}

/** The next tick tries again; while LIVE, the sweep. */
export const pageFailed = (state: Sending): void => {
  state.reading = false
  state.more = true
}

/** Meanwhile the mailbox is read periodically. */
export const pass = (state: Sending): void => {
  if (++state.ticksSinceRead >= state.limits.read_every_ticks) state.more = true
}

export const tellStatus = (state: Sending, status: StatusName, out: Outputs): void => {
  if (status === state.status) return
  state.status = status
  out.push({ _tag: "Status", status })
}
