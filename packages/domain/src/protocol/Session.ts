/**
 * The session: one connection of one client at one gateway (the doorman's core).
 *
 * ```
 *   mailbox pages ──▶ ┌──────────── session ───────────┐ ──▶ Deliver (to the client, in order)
 *   pushes        ──▶ │ delivered, acked, window       │ ──▶ Read, PublishBarrier
 *   client's acks ──▶ │ held: pushes that can't be     │ ──▶ Ack, Nack (to the router), Trim (to the mailbox)
 *   Mail, ticks   ──▶ │ delivered yet                  │ ──▶ Status, Lost, Welcome (sent to the client), Sweep
 *                     └────────────────────────────────┘
 * ```
 *
 * `delivered` starts at max(`after`, the mailbox's `acked`, -1). In any state two rules deliver. Each is safe alone,
 * and both set `delivered = seq`:
 * - *from the mailbox*: the lowest record above `delivered`, read page by page;
 * - *from a push* of the session's route: `prev` ≤ `delivered` < `seq`.
 *
 * The session's *route* is that of the barrier by which it last became LIVE. The facts of its pushes stay true, also
 * while the session is REPLAYING. Pushes of any other route are held, because another router may have made that route
 * from a repeated old barrier, without knowledge of what is in the mailbox after it.
 *
 * Invariants:
 * 1. Delivered records have growing seqs, and the client has no records between one and the next.
 * 2. At most `window` results are delivered and not acknowledged by the client. While it is full nothing is delivered.
 * 3. A loss by retention is sent before any later record is delivered, and counts as sent: only an ack of the client
 *    for a later record passes it.
 * 4. Only the ack of the client is passed on. A repeated push repeats the last ack, never a higher one.
 * 5. A session becomes LIVE only by one page, which was read atomically: it is short, its last record is an own barrier
 *    above `delivered`, and everything before it has passed the window. Anything unexpected leads back to REPLAYING,
 *    which reads the mailbox and sends another barrier.
 * 6. A push that can't be delivered yet is held, or dropped and nacked. A held push is tried again when `delivered`,
 *    the window or the route changes. While LIVE, a push that waits for a gap or another route leads to REPLAYING.
 * 7. Barriers are numbered, and one at a time is in transit, the newest. Only the newest ends this. If any own barrier
 *    did, a late one would make every LIVE send the next without end.
 *
 * The session is deterministic, and has no I/O, clock or randomness. Its state is changed in place. The shell carries
 * out the outputs, in order.
 */
import { Result } from "effect"
import { type Cursor, type RouteId, start } from "./Ids.ts"
import type { Page } from "./Reads.ts"
import { decodePlacedBarrier, type Item, isBarrier, type PlacedBarrier, type Push } from "./Records.ts"
import { type Status, Step, transition } from "./Status.ts"
import { Held } from "./internal/Held.ts"
import { invariant } from "./internal/Invariant.ts"
import {
  acknowledged,
  deliver,
  deliverPage,
  type Demotion,
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

export {
  type Demotion,
  isSent,
  type SendingInput,
  type SendingOptions as Options,
  type SendingOutput,
} from "./internal/Sending.ts"

/** What a session is told. */
export type Input =
  | SendingInput
  /** From the router. */
  | Push
  /** There may be something in the mailbox: a `Mail` came, or the sweep found it waiting. */
  | { readonly _tag: "Mail" }

/** What a session wants done. */
export type Output =
  | SendingOutput
  | { readonly _tag: "PublishBarrier"; readonly number: number; readonly again: boolean }
  /** To the router. */
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  | { readonly _tag: "Nack"; readonly route: RouteId }

type Out = Array<Output>

/** What a session knows of its client. Only `step` changes it. */
export class State extends Sending {
  /** Its `status`, before the client is told: a barrier met while LIVE leads to REPLAYING and back within one page. */
  machine: Status
  /** The mailbox has nothing of this session above this: its own barrier was read here. */
  mailEnd: Cursor = start
  readonly held: Held
  /** The one by whose barrier this was LIVE the last time. */
  route: RouteId | undefined = undefined
  /** The number of the newest barrier; 0: none was sent. */
  number = 0
  /** While the newest is under way. */
  barrier: { age_ticks: number; readonly timeout_ticks: number } | undefined = undefined

  constructor(options: SendingOptions) {
    const { after, epoch, limits, pod } = options
    super("Session", options, after)
    this.machine = { _tag: "REPLAYING", epoch, pod }
    this.held = new Held(limits.held_results, limits.held_bytes)
  }
}

/** A session before its first input, which is `Open`. */
export const make = (options: SendingOptions): State => new State(options)

/**
 * Whether nothing more is sent before its client acknowledges, or its socket takes what it was sent: when the window is
 * full, and if there is mail, or may be, earlier already, as no page is read for less than a quarter of it.
 */
export const waitsForClient = (state: State): boolean => {
  const mayHaveMail = state.more || state.machine._tag === "REPLAYING"
  return !mayDeliver(state) || (mayHaveMail && !state.reading && !hasRoom(state))
}

/** Results sent and not acknowledged, and pushes held. */
export const sizeOf = ({ held, window }: State) => ({ window: window.results, held: held.results })

/** Adds what is to be done to `out`: that of several inputs may be carried out together. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  switch (input._tag) {
    case "Push":
      onPush(state, input, out)
      break
    case "Ack":
      onAck(state, input.seq, out)
      break
    case "Page":
      onPage(state, input.page, out)
      break
    case "Mail":
      state.more = true
      readOn(state, out)
      break
    case "Tick":
      onTick(state, out)
      break
    case "Drained":
      state.stalled = false
      tryHeld(state, out)
      readOn(state, out)
      break
    case "Stalled":
      state.stalled = true
      break
    case "PageFailed":
      pageFailed(state)
      break
    case "Open":
      readOn(state, out)
      break
  }
  invariant(state.held.results === 0 || state.machine._tag !== "LIVE" || !mayDeliver(state), "Session", 6)
  return out
}

const onPush = (state: State, push: Push, out: Out): void => {
  if (push.seq <= state.delivered && !state.opening) {
    if (state.acked > start) out.push({ _tag: "Ack", seq: state.acked })
    return
  }
  const isNext = push.route === state.route && push.prev <= state.delivered
  if (state.opening || !isNext || !mayDeliver(state)) return hold(state, push, out)
  deliver(state, push, out)
  if (state.held.results > 0) tryHeld(state, out)
}

const onPage = (state: State, page: Page, out: Out): void => {
  state.reading = false
  state.more = state.more || !page.short
  if (state.opening) welcome(state, page.acked, out)
  passLosses(state, page, out)
  const before = state.delivered
  const whole = deliverPage(state, page.records, pageRules, out)
  if (whole && page.short) meetEnd(state, page.records.at(-1), before)
  tryHeld(state, out)
  if (!whole) state.more = true
  if (whole && page.short && state.machine._tag === "REPLAYING" && state.barrier === undefined)
    sendBarrier(state, state.limits.barrier_timeout_ticks, false, out)
  tellStatus(state, state.machine._tag, out)
  readOn(state, out)
}

const onAck = (state: State, seq: Cursor, out: Out): void => {
  const upTo = acknowledged(state, seq)
  if (upTo === undefined) return
  acknowledge(state, upTo, out)
  tryHeld(state, out)
  readOn(state, out)
}

/** While REPLAYING the mailbox is read periodically, and a barrier that did not come back is sent again. */
const onTick = (state: State, out: Out): void => {
  if (state.machine._tag !== "REPLAYING") return
  pass(state)
  readOn(state, out)
  const { barrier, limits } = state
  if (barrier !== undefined && ++barrier.age_ticks >= barrier.timeout_ticks) {
    sendBarrier(state, Math.min(barrier.timeout_ticks * 2, limits.barrier_timeout_max_ticks), true, out)
  }
}

// The mailbox

/** Reads the next page while earlier ones await their acks. */
const readOn = (state: State, out: Out): void => {
  if (state.more && !state.reading && !state.stalled && hasRoom(state)) read(state, out)
}

/** Wherever a barrier stands it is passed like any record. */
const passBarrier = (state: State, item: Item, out: Out): void => {
  fallBack(state, "mail")
  state.delivered = item.seq
  if (isAllAcknowledged(state)) acknowledge(state, item.seq, out)
  const { barrier } = Result.getOrThrow(decodePlacedBarrier(item.value))
  if (!isOwn(state, barrier)) out.push({ _tag: "Sweep" })
  else if (barrier.number === state.number) state.barrier = undefined
}

const pageRules: PageRules<State, Out> = {
  barrier: passBarrier,
  result: (state, item, out) => {
    fallBack(state, "mail")
    deliver(state, item, out)
  },
}

/**
 * The mailbox has no more than what was delivered, up to this record (invariant 5). A barrier from before routes has no
 * route.
 */
const meetEnd = (state: State, last: Item | undefined, before: Cursor): void => {
  if (last === undefined || last.seq <= before || !isBarrier(last.value)) return
  const { barrier } = Result.getOrThrow(decodePlacedBarrier(last.value))
  if (!isOwn(state, barrier) || barrier.route === undefined) return
  invariant(last.seq === state.delivered, "Session", 5)
  state.route = barrier.route
  state.mailEnd = last.seq
  move(state, Step.cases.GoLive.make({ epoch: state.epoch, pod: state.pod }))
}

const isOwn = (state: State, { epoch, pod }: PlacedBarrier["barrier"]): boolean =>
  epoch === state.epoch && pod === state.pod

const sendBarrier = (state: State, timeout_ticks: number, again: boolean, out: Out): void => {
  invariant(again === (state.barrier !== undefined), "Session", 7)
  state.barrier = { age_ticks: 0, timeout_ticks }
  out.push({ _tag: "PublishBarrier", number: ++state.number, again })
}

// Acks

/** While there is something to trim it is trimmed soon: a client without a memory that moves now would see it again. */
const acknowledge = (state: State, seq: Cursor, out: Out): void => {
  const mayHaveMail = state.machine._tag === "REPLAYING" || state.acked < state.mailEnd
  setAcked(state, seq)
  out.push({ _tag: "Ack", seq })
  if (mayHaveMail) out.push({ _tag: "Trim", seq })
}

// What is held

const hold = (state: State, push: Push, out: Out): void => {
  if (!state.held.add(push)) {
    out.push({ _tag: "Nack", route: push.route })
    lookForMail(state, mayDeliver(state) ? "dropped" : "slow", out)
  } else if (state.opening) return
  else if (push.route !== state.route) meetOther(state, "route", out)
  else if (push.prev > state.held.before(push, state.delivered)) lookForMail(state, "gap", out)
}

const tryHeld = (state: State, out: Out): void => {
  const { held } = state
  for (;;) {
    const push = held.next(state.delivered, state.route)
    if (push === undefined) break
    if (push.prev > state.delivered) return meetOther(state, "gap", out)
    if (!mayDeliver(state)) return
    held.remove(push)
    deliver(state, push, out)
  }
  if (held.results > 0) meetOther(state, "route", out)
}

/** What is held, from before this went LIVE or since, waits for what only the mailbox or another barrier brings. */
const meetOther = (state: State, why: "gap" | "route", out: Out): void => {
  if (state.machine._tag === "LIVE") lookForMail(state, why, out)
}

const lookForMail = (state: State, why: Demotion, out: Out): void => {
  state.more = true
  fallBack(state, why)
  tellStatus(state, state.machine._tag, out)
  readOn(state, out)
}

// The status

const fallBack = (state: State, why: Demotion): void => {
  if (state.machine._tag !== "LIVE") return
  state.demotion = why
  move(state, Step.cases.FallBack.make({ epoch: state.epoch, pod: state.pod }))
}

const move = (state: State, step: Step): void => {
  state.machine = Result.getOrThrow(transition(state.machine, step)) ?? state.machine
}
