/**
 * The decisions of the client, without I/O, clock or randomness. There is one call per frame, which changes the state in
 * place.
 *
 * ```
 *   application         core                                      gateway
 *   Send ────────▶ unaccepted ──Write──────────────────────────▶  event
 *                       ▲ └─(again on each welcome)                 │
 *        Accepted ◀── settled ◀──────────────────── accepted, refused, first answer
 *                                                                   │
 *   Deliver ◀── seq > received, first answer of its id ◀────── results, lost
 *      │
 *    Done ─────▶ done ──Remember, then Ack─────────────────────▶  ack
 *
 *   TaskChanged ◀── kept in the memory, or held ◀── items of a streamed task (`Tasks.ts`)
 *    Read ─────▶ done ──Remember, then Ack─────────────────────▶  ack
 * ```
 *
 * Payloads: `received` is the highest seq that was received and taken. `shown` is the highest seq that was delivered to
 * the consumer. `done` is the highest seq such that the consumer has processed it and everything before it, and that all items
 * of streamed tasks up to it are kept. done ≤ consumed ≤ received, and shown ≤ received, except for what was acknowledged
 * before, as the gateway says (`welcome.after`). Seqs belong to one
 * incarnation, `log`.
 *
 * Outputs are carried out in order. The memory has stored a `Remember` before any later `Write` or `Ack` is sent.
 *
 * Invariants:
 * 1. Each delivered seq is above all seqs delivered before it in this log. A repeat, which the pipeline names, is never
 *    delivered. If an id may have two results, as it was used again beyond the window of the pipeline (`dedupe_records` of
 *    `welcome`), only the first one is delivered. A result that the consumer of an earlier process had not processed is delivered again.
 * 2. `Ack(n)` follows the `Done` of the consumer for everything delivered up to n, and its `Remember`. A dropped repeat is
 *    acknowledged together with what is before it. Nothing is acknowledged that was not received on the same connection:
 *    if the consumer finishes something after a reconnect, the client waits for its repeat.
 * 3. An event is unaccepted, and is sent again on each `welcome`, until it is accepted, refused or has a result. It is
 *    remembered before it is written for the first time, and doubtful before it is written for the second time.
 * 4. At most `window_results` of the `welcome` (and of the limits), and `waiting_notices`, are delivered and not done. A
 *    frame that would exceed this is not taken at all: the client closes the connection, and resumes after `done`.
 * 5. A loss is delivered in its place: a `lost` frame, and the rest of a log that no longer exists.
 * 6. The parts of a streamed task are kept in order, without a gap, each once, and nothing follows its end. What is received and
 *    not kept is not acknowledged.
 *
 * Each is asserted in production too (`Invariant.ts`). If one does not hold, the client fails.
 */
import {
  type Cursor,
  type EventId,
  type Failure,
  type Frames,
  Guards,
  type Incarnation,
  type Seq,
  type Status,
} from "@nimbus/domain/protocol"
import type { Array } from "effect"
import type { Refusal } from "./Errors.ts"
import { invariant } from "./Invariant.ts"
import { type ClientLimits, clientLimits } from "./Limits.ts"
import { type Outgoing, type Remembered, toLedger } from "./Memory.ts"
import * as Tasks from "./Tasks.ts"

/**
 * Results after `after` that will not arrive. `retention`: the limits of the mailbox removed them, up to `upTo` if that is
 * known. `incarnation`: their log was deleted or truncated, and with it what was not delivered of it.
 */
export interface Lost {
  readonly type: "lost"
  readonly reason: "retention" | "incarnation"
  readonly after: Cursor
  readonly upTo?: Seq
}

/** What a consumer receives, in order: a result, or the notice that some are lost. */
export type Delivery = Frames.ResultItem | Lost

/** Whether a delivery is a notice of lost results. */
export const isLost = (delivery: Delivery): delivery is Lost => "type" in delivery

export type Input =
  /** `named`: the application chose the ids, and may have sent them before. `stream`: the name of the one event to stream. */
  | {
      readonly _tag: "Send"
      readonly events: ReadonlyArray<Outgoing>
      readonly named: boolean
      readonly stream?: string | undefined
    }
  /** The task of this event is to end. */
  | { readonly _tag: "Cancel"; readonly id: EventId }
  /** A reader of a task, the newest one, has read so much. */
  | ({ readonly _tag: "Read"; readonly id: EventId } & Tasks.Reader)
  /** A reader of a task reads no further. */
  | { readonly _tag: "Left"; readonly id: EventId; readonly reader: number }
  | { readonly _tag: "Heard"; readonly frame: Frames.ServerFrame }
  /** The consumer has processed `items` more deliveries of this log, the last one at `seq`, if it has one. */
  | { readonly _tag: "Done"; readonly log: Incarnation; readonly seq: Cursor | undefined; readonly items: number }
  | { readonly _tag: "Disconnected" }

export type Output =
  | Tasks.Output
  | { readonly _tag: "Write"; readonly events: ReadonlyArray<Outgoing> }
  | { readonly _tag: "WriteCancels"; readonly ids: ReadonlyArray<EventId> }
  | { readonly _tag: "Ack"; readonly seq: Cursor }
  /** To the consumer. */
  | { readonly _tag: "Deliver"; readonly log: Incarnation; readonly items: Array.NonEmptyReadonlyArray<Delivery> }
  /** For their senders. */
  | { readonly _tag: "Accepted"; readonly ids: ReadonlyArray<EventId> }
  | { readonly _tag: "Refused"; readonly id: EventId; readonly refusal: Refusal }
  /** The id was used before, at this seq, if it is known: what came of it was delivered then, or is lost. */
  | { readonly _tag: "Repeated"; readonly id: EventId; readonly first: Cursor }
  | { readonly _tag: "Status"; readonly status: Status.StatusName }
  /** The gateway refuses something that is not one of our events. */
  | { readonly _tag: "Objection"; readonly objection: Failure }
  /** The token of this connection ends in so many seconds. */
  | { readonly _tag: "Expiring"; readonly seconds: number }
  /** Close this connection and resume, because to continue with it could leave a gap. */
  | { readonly _tag: "Cut"; readonly reason: string }

/** Counts since the start. */
export interface Stats {
  /** Events, each once. */
  readonly sent: number
  /** Events written again after a reconnect. */
  readonly resent: number
  readonly accepted: number
  readonly refused: number
  /** Results delivered to the consumer, and items of streamed tasks. */
  readonly received: number
  /** Results that were dropped because they, or another result of the same event, were delivered before. */
  readonly repeats: number
  /** Results with a seq at or below an earlier one of the same connection: always a fault of the gateway. */
  readonly outOfOrder: number
  /** `lost` notices delivered. */
  readonly lost: number
  /** Connections that received a `welcome`. */
  readonly connections: number
}

/** `ledger` is what is remembered, with `log`, `unaccepted` and `doubtful`; its `last` is `done`. */
export interface State extends Tasks.State {
  received: Cursor
  shown: Cursor
  /** The consumer has processed everything up to here, items of streamed tasks aside. */
  consumed: Cursor
  connection: Connection | undefined
  /** What the client sent to the gateway when it connected. */
  told: Cursor | undefined
  /** Unaccepted events that may have been written on some connection. */
  readonly written: Set<EventId>
  /** Those among them that may have been written on a connection before this one. */
  rewritten: ReadonlySet<EventId>
  /** Doubtful ids whose remembered result no consumer has processed: it is not yet remembered that they have none. */
  undone: ReadonlyArray<EventId>
  readonly stats: { -readonly [K in keyof Stats]: Stats[K] }
}

/** The state of one connection, from its `welcome`. */
interface Connection {
  /** The highest seq received on it. */
  heard: Cursor
  /** The highest seq acknowledged on it. */
  acked: Cursor
  readonly frame_bytes: number
  readonly window_results: number
}

/**
 * A core that continues from what is remembered. An earlier process may have written the unaccepted events. A result that
 * its consumer had not processed counts as not received: it is sent again, or is lost.
 */
export const make = (remembered: Remembered, limits: ClientLimits = clientLimits): State => {
  const ledger = toLedger(remembered)
  const undone: Array<EventId> = []
  for (const [id, answered] of ledger.doubtful)
    if (answered !== undefined && answered > ledger.consumed) undone.push(id)
  for (const id of undone) ledger.doubtful.set(id, undefined)
  return {
    limits,
    ledger,
    received: ledger.last,
    shown: ledger.last,
    consumed: ledger.consumed,
    readers: new Map(),
    held: new Map(),
    waiting: 0,
    connection: undefined,
    told: undefined,
    written: new Set(ledger.unaccepted.keys()),
    rewritten: new Set(),
    undone,
    stats: {
      sent: 0,
      resent: 0,
      accepted: 0,
      refused: 0,
      received: 0,
      repeats: 0,
      outOfOrder: 0,
      lost: 0,
      connections: 0,
    },
  }
}

/** Where a new connection resumes. It may be sent to the gateway only when it is saved. */
export const resume = (state: State): { readonly log: Incarnation; readonly after: Cursor } | undefined => {
  const { last, log } = state.ledger
  state.told = log === undefined ? undefined : last
  return log === undefined ? undefined : { log, after: last }
}

/** Events not accepted, those among them that may have been written, doubtful ids, streamed tasks, and deliveries not done. */
export const sizeOf = ({ ledger: { cancels, doubtful, tasks, unaccepted }, waiting, written }: State) => ({
  unaccepted: unaccepted.size,
  written: written.size,
  doubtful: doubtful.size,
  tasks: tasks.size,
  cancels: cancels.size,
  deliveries: waiting,
})

export const step = (state: State, input: Input): ReadonlyArray<Output> => {
  const out: Array<Output> = []
  switch (input._tag) {
    case "Send":
      send(state, input, out)
      break
    case "Cancel":
      cancel(state, input.id, out)
      break
    case "Read":
      Tasks.read(state, input.id, input, out)
      reach(state, out)
      break
    case "Left":
      Tasks.left(state, input.id, input.reader, out)
      reach(state, out)
      break
    case "Heard":
      hear(state, input.frame, out)
      break
    case "Done":
      done(state, input, out)
      break
    case "Disconnected":
      state.connection = undefined
      out.push({ _tag: "Status", status: "OFFLINE" })
      break
  }
  return out
}

const hear = (state: State, frame: Frames.ServerFrame, out: Array<Output>): void => {
  if (frame.type === "welcome") return welcome(state, frame, out)
  // It may arrive before the welcome, and says what is wrong with the request.
  if (frame.type === "error") return object(frame, out)
  // It may answer a token that was the first frame.
  if (frame.type === "authenticated") return
  const connection = state.connection
  if (connection === undefined) return cut(`a ${frame.type} frame before the welcome`, out)
  switch (frame.type) {
    case "results":
      return results(state, connection, frame.items, out)
    case "accepted":
      return accepted(state, frame.ids, out)
    case "cancelling":
      return settleCancels(state, frame.ids, out)
    case "refused":
      return refused(state, frame, out)
    case "lost":
      return lost(state, connection, frame, out)
    case "status":
      out.push({ _tag: "Status", status: frame.status })
      return
    case "expiring":
      out.push({ _tag: "Expiring", seconds: frame.seconds })
      return
    case "pong":
      return
    default:
      frame satisfies never
  }
}

const object = ({ code, message }: Failure, out: Array<Output>): void => {
  out.push({ _tag: "Objection", objection: { code, message } })
}

const cut = (reason: string, out: Array<Output>): void => {
  out.push({ _tag: "Cut", reason })
}

// Sending

/** Invariant 3. An id that is in flight gets no second copy. An id that was accepted before is accepted. */
const send = (state: State, { events, named, stream }: Extract<Input, { _tag: "Send" }>, out: Array<Output>): void => {
  const { doubtful, tasks, unaccepted } = state.ledger
  const fresh: Array<Outgoing> = []
  const known: Array<EventId> = []
  for (const event of events) {
    if (unaccepted.has(event.id)) continue
    if (doubtful.has(event.id) || tasks.has(event.id)) known.push(event.id)
    else fresh.push(event)
  }
  if (known.length > 0) out.push({ _tag: "Accepted", ids: known })
  for (const id of known) {
    const first = doubtful.get(id)
    if (first !== undefined) out.push({ _tag: "Repeated", id, first })
  }
  settleCancels(
    state,
    fresh.map(({ id }) => id),
    out,
  )
  if (fresh.length === 0) return startStream(state, events, stream, out)
  state.stats.sent += fresh.length
  // In this order: after a crash between the two, an event that was never sent must not be doubtful, and so count as accepted.
  Tasks.remember(state, { _tag: "Sent", events: fresh }, out)
  if (named) doubt(state, fresh, out)
  startStream(state, events, stream, out)
  write(state, fresh, out)
}

/** Unless the result of its event has come, or is here. */
const startStream = (
  state: State,
  events: ReadonlyArray<Outgoing>,
  name: string | undefined,
  out: Array<Output>,
): void => {
  if (name === undefined) return
  for (const { id } of events) {
    if (state.ledger.tasks.has(id) || state.ledger.doubtful.get(id) !== undefined) continue
    Tasks.start(state, id, name, state.received, out)
  }
}

const write = (state: State, events: Iterable<Outgoing>, out: Array<Output>): void => {
  const connection = state.connection
  if (connection === undefined) return
  const fitting: Array<Outgoing> = []
  for (const event of events) {
    invariant(state.ledger.unaccepted.has(event.id), 3)
    if (!fits(event.frame, connection.frame_bytes)) {
      const message = `The frame of this event is larger than the ${connection.frame_bytes} bytes that the gateway takes.`
      settleRefused(state, event.id, { code: "EVENT_TOO_BIG", message }, out)
      continue
    }
    state.written.add(event.id)
    fitting.push(event)
  }
  if (fitting.length > 0) out.push({ _tag: "Write", events: fitting })
}

const encoder = new TextEncoder()
/** A UTF-16 unit is at most three bytes of UTF-8: most frames need no counting. */
const fits = (frame: string, bytes: number): boolean =>
  frame.length * 3 <= bytes || (frame.length <= bytes && encoder.encode(frame).length <= bytes)

/** Marks events of which the log may have two, and forgets the oldest ones beyond the bound. */
const doubt = (state: State, events: ReadonlyArray<Outgoing>, out: Array<Output>): void => {
  const { doubtful } = state.ledger
  const ids = events.flatMap((event) => (doubtful.has(event.id) ? [] : [event.id]))
  if (ids.length === 0) return
  Tasks.remember(state, { _tag: "Doubted", ids }, out)
  const excess = doubtful.size - state.limits.doubtful_ids
  if (excess > 0) Tasks.remember(state, { _tag: "Forgotten", ids: firstOf(doubtful.keys(), excess) }, out)
}

/** By hand: Node 20, and browsers of 2024, have no helpers of iterators. */
const firstOf = <A>(items: Iterable<A>, count: number): ReadonlyArray<A> => {
  const first: Array<A> = []
  for (const item of items) {
    if (first.length >= count) break
    first.push(item)
  }
  return first
}

const settle = (state: State, ids: ReadonlyArray<EventId>, out: Array<Output>): void => {
  if (ids.length === 0) return
  for (const id of ids) state.written.delete(id)
  Tasks.remember(state, { _tag: "Settled", ids }, out)
  state.stats.accepted += ids.length
  out.push({ _tag: "Accepted", ids })
}

const accepted = (state: State, ids: ReadonlyArray<EventId>, out: Array<Output>): void =>
  settle(
    state,
    ids.filter((id) => state.ledger.unaccepted.has(id)),
    out,
  )

const refused = (state: State, frame: Frames.Refused, out: Array<Output>): void => {
  const { capability, code, id, message } = frame
  const refusal: Refusal = capability === undefined ? { code, message } : { code, message, capability }
  const event = id === undefined ? undefined : unacceptedBy(state, id)
  if (event !== undefined) return settleRefused(state, event.id, refusal, out)
  // The same cancel would be refused on every connection.
  if (code === "FORBIDDEN" && Guards.isEventId(id)) settleCancels(state, [id], out)
  object(refusal, out)
}

/** An id as it came in a frame, if it is one of ours. */
const unacceptedBy = (state: State, id: string): Outgoing | undefined => {
  const unaccepted: ReadonlyMap<string, Outgoing> = state.ledger.unaccepted
  return unaccepted.get(id)
}

const settleRefused = (state: State, id: EventId, refusal: Refusal, out: Array<Output>): void => {
  const { doubtful, tasks } = state.ledger
  const task = tasks.get(id)
  state.written.delete(id)
  // In this order, for the same reason as in `send`: a refused event must not count as accepted.
  if (doubtful.has(id)) Tasks.remember(state, { _tag: "Forgotten", ids: [id] }, out)
  if (task !== undefined && task.end === undefined) {
    Tasks.finish(state, task, task.seq, { as: "refused", error: refusal }, out)
  }
  Tasks.remember(state, { _tag: "Settled", ids: [id] }, out)
  settleCancels(state, [id], out)
  state.stats.refused += 1
  out.push({ _tag: "Refused", id, refusal })
}

// Cancelling

/** An event that has its result, or a task that has ended, is not cancelled any more. */
const cancel = (state: State, id: EventId, out: Array<Output>): void => {
  const { cancels, tasks } = state.ledger
  if (tasks.get(id)?.end !== undefined || cancels.has(id)) return
  Tasks.remember(state, { _tag: "Cancelled", ids: [id] }, out)
  settleCancels(state, firstOf(cancels, cancels.size - state.limits.cancels), out)
  if (state.connection !== undefined) out.push({ _tag: "WriteCancels", ids: [id] })
}

const settleCancels = (state: State, ids: ReadonlyArray<EventId>, out: Array<Output>): void => {
  const known = ids.filter((id) => state.ledger.cancels.has(id))
  if (known.length > 0) Tasks.remember(state, { _tag: "CancelSettled", ids: known }, out)
}

// Connecting

const welcome = (state: State, frame: Frames.Welcome, out: Array<Output>): void => {
  if (state.connection !== undefined) return cut("a second welcome", out)
  // If the session starts before the seq that the client sent, the log ends before that seq.
  const isCutBack = state.told !== undefined && frame.after < state.told
  const isNewLog = state.ledger.log !== frame.log || isCutBack
  if (isNewLog && state.waiting >= state.limits.window_results) return cut("a new log while too much waits", out)
  state.connection = {
    heard: frame.after,
    acked: frame.after,
    frame_bytes: frame.limits.frame_bytes,
    window_results: Math.min(frame.limits.window_results, state.limits.window_results),
  }
  state.stats.connections += 1
  out.push({ _tag: "Status", status: frame.status })
  undo(state, out)
  if (isNewLog) enter(state, frame.log, frame.after, out)
  else if (frame.after > state.received) state.received = frame.after
  resend(state, out)
}

/**
 * Remembers that these ids have no result, before anything behind their results is processed. If a result is lost now, the
 * next process would take it for processed, and drop the result of a second copy of the event.
 */
const undo = (state: State, out: Array<Output>): void => {
  const ids = state.undone.filter((id) => state.ledger.doubtful.has(id))
  state.undone = []
  if (ids.length > 0) Tasks.remember(state, { _tag: "Doubted", ids }, out)
}

/**
 * The first log, another log, or a truncated one: seqs restart. What was not delivered of the previous one will not
 * arrive.
 */
const enter = (state: State, log: Incarnation, after: Cursor, out: Array<Output>): void => {
  const before = state.ledger.log
  if (before !== undefined) {
    deliver(state, before, [{ type: "lost", reason: "incarnation", after: state.received }], out)
    state.stats.lost += 1
  }
  state.received = after
  state.shown = after
  state.consumed = after
  // In this order: what is lost is not what comes in the new log.
  if (before !== undefined) loseTasks(state, new Set(), out)
  Tasks.remember(state, { _tag: "Entered", log, last: after }, out)
}

/**
 * What came of accepted events may be lost, and nothing more may come of them. The same holds for those that the log may have
 * from an earlier connection. What is written on this one is accepted before anything that comes of it can be lost.
 */
const loseTasks = (state: State, rewritten: ReadonlySet<EventId>, out: Array<Output>): void => {
  const { cancels, unaccepted } = state.ledger
  Tasks.finishAll(state, (id) => rewritten.has(id) || !unaccepted.has(id), out)
  const over = [...cancels].filter((id) => !unaccepted.has(id))
  settleCancels(state, over, out)
}

/**
 * Sends all unaccepted events, in the order in which they were sent. Those that may have been written before become
 * doubtful.
 */
const resend = (state: State, out: Array<Output>): void => {
  const events = [...state.ledger.unaccepted.values()]
  const again = events.filter((event) => state.written.has(event.id))
  state.rewritten = new Set(again.map(({ id }) => id))
  state.stats.resent += again.length
  doubt(state, again, out)
  write(state, events, out)
  // Behind their events.
  if (state.ledger.cancels.size > 0) out.push({ _tag: "WriteCancels", ids: [...state.ledger.cancels] })
}

// Receiving

const results = (
  state: State,
  connection: Connection,
  items: ReadonlyArray<Frames.ResultItem>,
  out: Array<Output>,
): void => {
  if (!hasRoom(state, connection, items)) return cut("more results than the window allows", out)
  const { ledger, stats } = state
  const fresh: Array<Frames.ResultItem> = []
  const settled: Array<EventId> = []
  const over: Array<EventId> = []
  const answers: Array<{ readonly id: EventId; readonly seq: Seq }> = []
  const repeated: Array<Output> = []
  for (const item of items) {
    if (item.seq <= connection.heard) stats.outOfOrder += 1
    else connection.heard = item.seq
    if (item.seq <= state.received) {
      stats.repeats += 1
      continue
    }
    state.received = item.seq
    const { of: id = item.id } = item
    if (ledger.unaccepted.delete(id)) settled.push(id)
    const first = firstOfId(state, item)
    if (first !== undefined) {
      stats.repeats += 1
      refuseStream(state, id, first, out)
      repeated.push({ _tag: "Repeated", id, first })
      continue
    }
    if (item.of === undefined || item.end !== undefined) over.push(id)
    if (ledger.doubtful.has(id) && ledger.doubtful.get(id) === undefined) {
      const seq = seqOfEvent(item)
      ledger.doubtful.set(id, seq)
      answers.push({ id, seq })
    }
    if (stream(state, id, item, out)) continue
    // The consumer of an earlier process has processed it, although items of tasks before it were not kept.
    if (item.seq <= state.consumed) stats.repeats += 1
    else fresh.push(item)
  }
  settle(state, settled, out)
  settleCancels(state, over, out)
  if (answers.length > 0) Tasks.remember(state, { _tag: "Answered", answers }, out)
  stats.received += fresh.length
  show(state, fresh, out)
  // After the first answers: one that comes in the same frame is the answer.
  out.push(...repeated)
  acknowledge(state, connection, out)
}

/** Of a repeat the seq of the event, or of the result, that came first. Of a task all items are of one event. */
const firstOfId = ({ ledger }: State, item: Frames.ResultItem): Cursor | undefined => {
  if (item.repeated !== undefined) return item.repeated
  const first = ledger.doubtful.get(item.of ?? item.id)
  return first === seqOfEvent(item) ? undefined : first
}

/** An item of a task names the seq of its event: `t12.1.0`, `t12.end`. */
const seqOfEvent = (item: Frames.ResultItem): Seq => {
  const seq = item.of === undefined ? undefined : Number(/^t(\d+)\./.exec(item.id)?.[1])
  return Guards.isSeq(seq) ? seq : item.seq
}

/**
 * The id of a streamed event was used before this client sent it, by another one without its memory. What came of it was
 * delivered there. If it was used later, it is by a second copy of the event.
 */
const refuseStream = (state: State, id: EventId, first: Cursor, out: Array<Output>): void => {
  const task = state.ledger.tasks.get(id)
  if (task === undefined || task.end !== undefined || first > task.since) return
  Tasks.finish(state, task, state.received, { as: "repeated", first }, out)
}

/** Whether the item is of a task that is streamed, and therefore not for the consumer of results. */
const stream = (state: State, id: EventId, item: Frames.ResultItem, out: Array<Output>): boolean => {
  const task = state.ledger.tasks.get(id)
  if (task === undefined) return false
  // What comes behind `lost` or `repeated` belongs to no stream. Behind any other end there are only repeats.
  if (task.end?.as === "lost" || task.end?.as === "repeated") return false
  let isTaken = false
  for (const part of task.end === undefined ? Tasks.itemsOf(task, item) : []) {
    if (Tasks.take(state, task, part, out)) isTaken = true
  }
  if (isTaken) state.stats.received += 1
  else state.stats.repeats += 1
  return true
}

/** Invariant 4, checked before anything of the frame is taken. */
const hasRoom = (state: State, connection: Connection, items: ReadonlyArray<Frames.ResultItem>): boolean => {
  const room = connection.window_results + state.limits.waiting_notices - state.waiting
  if (items.length <= room) return true
  let fresh = 0
  for (const item of items) if (item.seq > state.received) fresh += 1
  return fresh <= room
}

/** Delivers what is left of a frame. If nothing is left, and no result waits before it, the consumer is through with it. */
const show = (state: State, fresh: ReadonlyArray<Frames.ResultItem>, out: Array<Output>): void => {
  const last = fresh.at(-1)
  const { ledger } = state
  if (last !== undefined && isNonEmpty(fresh) && ledger.log !== undefined) {
    invariant(fresh[0].seq > state.shown, 1)
    state.shown = last.seq
    deliver(state, ledger.log, fresh, out)
    return
  }
  if (state.shown <= state.consumed && state.received > state.consumed) state.consumed = state.received
  reach(state, out)
}

const isNonEmpty = <A>(items: ReadonlyArray<A>): items is Array.NonEmptyReadonlyArray<A> => items.length > 0

const deliver = (
  state: State,
  log: Incarnation,
  items: Array.NonEmptyReadonlyArray<Delivery>,
  out: Array<Output>,
): void => {
  state.waiting += items.length
  invariant(state.waiting <= state.limits.window_results + state.limits.waiting_notices, 4)
  out.push({ _tag: "Deliver", log, items })
}

/** Invariant 5. One that ends at or below `received` was delivered before, on an earlier connection. */
const lost = (state: State, connection: Connection, frame: Frames.Lost, out: Array<Output>): void => {
  const { log } = state.ledger
  if (frame.upTo !== undefined && frame.upTo > connection.heard) connection.heard = frame.upTo
  if (log === undefined || (frame.upTo !== undefined && frame.upTo <= state.received)) return
  if (state.waiting >= connection.window_results + state.limits.waiting_notices) {
    return cut("more lost notices than can wait", out)
  }
  invariant(state.shown <= state.received, 5)
  state.stats.lost += 1
  const { after, type, upTo } = frame
  deliver(state, log, [{ type, reason: "retention", after, ...(upTo === undefined ? {} : { upTo }) }], out)
  loseTasks(state, state.rewritten, out)
  if (frame.upTo === undefined) return
  state.received = frame.upTo
  state.shown = frame.upTo
}

/** Invariant 2. Of a log that is gone nothing is acknowledged. */
const done = (state: State, input: Extract<Input, { _tag: "Done" }>, out: Array<Output>): void => {
  state.waiting -= input.items
  if (input.log !== state.ledger.log || input.seq === undefined) return
  const consumed = input.seq >= state.shown ? state.received : input.seq
  if (consumed > state.consumed) state.consumed = consumed
  reach(state, out)
}

/**
 * What the consumer has processed, up to the first item of a task that is not kept. In an earlier process it may have been
 * further than what was received since.
 */
const reach = (state: State, out: Array<Output>): void => {
  const held = Tasks.firstHeld(state)
  const consumed = state.consumed < state.received ? state.consumed : state.received
  const last = held === undefined || held > consumed ? consumed : before(held)
  const isFurther = last > state.ledger.last
  if (isFurther) Tasks.remember(state, { _tag: "Reached", last }, out)
  if (state.consumed > state.ledger.consumed) Tasks.remember(state, { _tag: "Consumed", seq: state.consumed }, out)
  if (isFurther && state.connection !== undefined) acknowledge(state, state.connection, out)
}

const before = (seq: Cursor): Cursor => {
  const cursor = seq - 1
  return Guards.isCursor(cursor) ? cursor : Guards.beginning
}

const acknowledge = (state: State, connection: Connection, out: Array<Output>): void => {
  const seq = state.ledger.last < connection.heard ? state.ledger.last : connection.heard
  if (seq <= connection.acked) return
  invariant(seq <= state.received, 2)
  connection.acked = seq
  out.push({ _tag: "Ack", seq })
}
