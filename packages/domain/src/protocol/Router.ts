/**
 * The router of one partition of the results topic (the result consumer's core; NimbusGRPC's mail sorter).
 *
 * ```
 *                      ┌────────────────── router ───────────────────┐
 *   results topic ───▶ │ a route, and at or below its prev? drop     │ ──▶ pushes, by pod
 *   (chunks, in order) │ a route? push, keep in flight               │
 *   acks, nacks, ticks │ none?    spill                              │ ──▶ backlog topic (one produce in flight)
 *                 ───▶ │ barrier? divert, new route, spill with id   │
 *                      └─────────────────────────────────────────────┘ ──▶ commit
 * ```
 *
 * Its state is in memory only: `routes`, client → { pod, route id, prev }, and for each route what is in flight. To
 * *divert* a client is to spill what it has in flight, in order, and to forget its route. This is always safe.
 *
 * Invariants:
 * 1. If a client has a route, a record with `seq` ≤ `prev` is a repeat and changes nothing. Repeats of a client without
 *    a route are spilled again, because the put into its mailbox is idempotent.
 * 2. A push asserts a fact to the session that has read the barrier of its route at the end of the mailbox: between
 *    `prev` and `seq` the client has no records except those that were in that mailbox before the barrier.
 * 3. The records of a client reach the backlog in order. One is omitted only if the client acknowledged it.
 * 4. A route id is used once. A router that has no memory of a client may take a repeated old barrier for a new one,
 *    and its pushes would skip what is spilled after it. Only a session that has read that copy of the barrier takes
 *    them.
 * 5. The commit is the offset after the last record such that it and all before it are done.
 * 6. The memory belongs to the read position. A read that starts elsewhere starts with empty memory.
 *
 * The router is deterministic, and has no I/O, clock or randomness. Its state is changed in place, by whole chunks. The
 * shell carries out the outputs.
 */
import { Result } from "effect"
import type { Chunk } from "./Reads.ts"
import type { ClientId, Cursor, PodId, RouteId, RouterId, Seq } from "./Ids.ts"
import { clientIdUnsafe, isClientId, routeIdOf } from "./Ids.ts"
import type { RouterLimits } from "../Limits.ts"
import { decodePlacedBarrier, encodePlacedBarrier, isBarrier, peekSeq } from "./Records.ts"
import type { AckMessage, Push, StoredRecord } from "./Records.ts"
import { invariant } from "./internal/Invariant.ts"
import { Outstanding } from "./internal/Outstanding.ts"

/** What a router is told. */
export type Input =
  /** The next chunk of the results topic. */
  | { readonly _tag: "Chunk"; readonly chunk: Chunk }
  /**
   * The client has everything up to a seq; or its pod can't take the pushes of a route now (of whichever it has, where
   * none is named). A nack that is late does not end a route that was made meanwhile.
   */
  | AckMessage
  /** Nobody received a push of this route. */
  | { readonly _tag: "Unreceived"; readonly clientId: ClientId; readonly route: RouteId }
  /** Time passes: diverts what was pushed `ack_timeout_ticks` ago and is still not acknowledged. */
  | { readonly _tag: "Tick" }
  /** The backlog may be written to, at most so many records at once. */
  | { readonly _tag: "Write"; readonly records: number }
  /** The backlog has this spill. */
  | { readonly _tag: "Spilled"; readonly spill: SpillBatch }
  /** The quarantine topic has this record. */
  | { readonly _tag: "Quarantined"; readonly unreadable: Unreadable }

/** What a router wants done. */
export type Output =
  /** Of one chunk, for one pod, in order. */
  | { readonly _tag: "Publish"; readonly pod: PodId; readonly pushes: ReadonlyArray<Push> }
  /** Returns `Write`: none while nothing waits, or the last is not `Spilled` yet. */
  | { readonly _tag: "Spill"; readonly spill: SpillBatch }
  /** A record that is none of ours: to be quarantined, then `Quarantined`. */
  | { readonly _tag: "Quarantine"; readonly unreadable: Unreadable }
  /** The commit has moved (invariant 5). */
  | Commit

/** The latest of all inputs whose outputs are carried out together. */
interface Commit {
  readonly _tag: "Commit"
  next: number
}

type Out = Array<Output>

/** Records to be written to the backlog in one produce, in order. */
export interface SpillBatch {
  readonly records: ReadonlyArray<StoredRecord>
  /** Whose memory it belongs to: a spill from before the memory was emptied is acknowledged in vain. */
  readonly generation: number
}

/** A record that is not one of Nimbus: to be quarantined with the reason. */
export interface Unreadable {
  readonly record: StoredRecord
  readonly reason: string
  readonly index: number
  readonly generation: number
}

/** Why a client was diverted: for metrics and journeys. */
export type DivertReason = "barrier" | "nack" | "unreceived" | "ack-timeout" | "client-full" | "router-full"

interface InFlight {
  readonly seq: Seq
  readonly index: number
  readonly record: StoredRecord
}

interface Route {
  readonly id: RouteId
  readonly pod: PodId
  prev: Seq
  /** In order of seq; those before `first` are acknowledged. */
  inflight: Array<InFlight>
  first: number
}

/** What a router knows of its partition. Only `step` changes it. */
export class State {
  /** How often each thing happened; the shell reads it for metrics. */
  readonly counts: Record<DivertReason, number> & { repeats: number; pushed: number; spilled: number } = {
    repeats: 0,
    pushed: 0,
    spilled: 0,
    barrier: 0,
    nack: 0,
    unreceived: 0,
    "ack-timeout": 0,
    "client-full": 0,
    "router-full": 0,
  }
  readonly limits: RouterLimits
  readonly id: RouterId
  /** Survives whatever else is forgotten (invariant 4). */
  routesMade = 0
  generation = 0
  /** Where to go on reading with this memory; `undefined`: there is none, read from the commit. */
  position: number | undefined = undefined
  routes = new Map<ClientId, Route>()
  inflight = 0
  outstanding = new Outstanding()
  tick = 0
  waiting: Array<StoredRecord> = []
  waitingIndexes: Array<number> = []
  /** The spill that is under way, to be written again by a shell that was interrupted in the middle of it. */
  underWay: SpillBatch | undefined = undefined
  underWayIndexes: Array<number> = []
  /** Why a record of a spill was diverted. Of sampled records alone, which have headers. */
  readonly reasons = new WeakMap<StoredRecord, DivertReason>()
  /** What the chunk at hand gives each pod. */
  readonly publishing = new Map<PodId, Array<Push>>()

  constructor(limits: RouterLimits, id: RouterId) {
    this.limits = limits
    this.id = id
  }
}

/** A router before its first input. `id`: of this router alone, ever. */
export const make = (limits: RouterLimits, id: RouterId): State => new State(limits, id)

/** What waits for the backlog, or is on its way there. */
export const spillSize = ({ underWayIndexes, waiting }: State): number => waiting.length + underWayIndexes.length

/**
 * Clients with a route, results in flight, records that wait for the backlog, and `outstanding`: all from the first
 * that is not done to the last that was read, which the commit waits for.
 */
export const sizeOf = (state: State): Readonly<Record<"routes" | "inflight" | "spill" | "outstanding", number>> => ({
  routes: state.routes.size,
  inflight: state.inflight,
  spill: spillSize(state),
  outstanding: state.outstanding.size,
})

/** Adds what is to be done to `out`: that of several inputs may be carried out together. */
export const step = (state: State, input: Input, out: Array<Output> = []): ReadonlyArray<Output> => {
  switch (input._tag) {
    case "Chunk":
      onChunk(state, input.chunk, out)
      break
    case "Ack":
      onAck(state, input.clientId, input.seq)
      break
    case "Nack":
      if (input.route === undefined || state.routes.get(input.clientId)?.id === input.route) {
        divert(state, input.clientId, "nack")
      }
      break
    case "Unreceived":
      if (state.routes.get(input.clientId)?.id === input.route) divert(state, input.clientId, "unreceived")
      break
    case "Tick":
      onTick(state)
      break
    case "Write":
      onWrite(state, input.records, out)
      break
    case "Spilled":
      onSpilled(state, input.spill)
      break
    case "Quarantined":
      if (input.unreadable.generation === state.generation) state.outstanding.done(input.unreadable.index)
      break
  }
  commit(state, out)
  return out
}

const commit = ({ outstanding, position }: State, out: Out): void => {
  const next = outstanding.takeCommit()
  if (next === undefined) return
  const last = out.length === 0 ? undefined : out[out.length - 1]
  invariant(next < (outstanding.blocked ?? Infinity) && next <= (position ?? 0), "Router", 5)
  if (last?._tag === "Commit") last.next = next
  else out.push({ _tag: "Commit", next })
}

const onAck = (state: State, clientId: ClientId, seq: Cursor): void => {
  const route = state.routes.get(clientId)
  if (route === undefined) return
  const { inflight } = route
  let first = route.first
  invariant(first === inflight.length || inflight[inflight.length - 1]!.seq === route.prev, "Router", 2)
  while (first < inflight.length && inflight[first]!.seq <= seq) state.outstanding.done(inflight[first++]!.index)
  state.inflight -= first - route.first
  route.first = first
  if (first === inflight.length) {
    route.inflight = []
    route.first = 0
  } else if (first > 256 && first * 2 > inflight.length) {
    route.inflight = inflight.slice(first)
    route.first = 0
  }
}

const onTick = (state: State): void => {
  state.tick++
  for (const clientId of state.outstanding.pushedBefore(state.tick - state.limits.ack_timeout_ticks)) {
    divert(state, clientId, "ack-timeout")
  }
}

// The way to the backlog

const onWrite = (state: State, records: number, out: Out): void => {
  const { waiting, waitingIndexes } = state
  if (state.underWay !== undefined || waiting.length === 0) return
  const all = waiting.length <= records
  const spill = { records: all ? waiting : waiting.slice(0, records), generation: state.generation }
  state.underWay = spill
  state.underWayIndexes = all ? waitingIndexes : waitingIndexes.slice(0, records)
  state.waiting = all ? [] : waiting.slice(records)
  state.waitingIndexes = all ? [] : waitingIndexes.slice(records)
  out.push({ _tag: "Spill", spill })
}

const onSpilled = (state: State, spill: SpillBatch): void => {
  if (spill !== state.underWay) return
  for (const index of state.underWayIndexes) state.outstanding.done(index)
  state.counts.spilled += state.underWayIndexes.length
  state.underWay = undefined
  state.underWayIndexes = []
}

const spill = (state: State, record: StoredRecord, index: number): void => {
  state.waiting.push(record)
  state.waitingIndexes.push(index)
}

// Records

const onChunk = (state: State, chunk: Chunk, out: Out): void => {
  if (chunk.from !== state.position) forget(state)
  invariant(chunk.from === state.position || (state.outstanding.size === 0 && state.routes.size === 0), "Router", 6)
  for (const record of chunk.records) take(state, record, out)
  state.publishing.clear()
  state.outstanding.passed(chunk.next)
  state.position = chunk.next
}

/** Invariant 6. */
const forget = (state: State): void => {
  state.generation++
  state.routes = new Map()
  state.inflight = 0
  state.outstanding = new Outstanding()
  state.waiting = []
  state.waitingIndexes = []
  state.underWay = undefined
  state.underWayIndexes = []
}

const take = (state: State, record: StoredRecord, out: Out): void => {
  const seq = peekSeq(record.value)
  if (seq === undefined) return refuse(state, record, record.unreadable ?? "no seq at the start of the record", out)
  const clientId = clientIdUnsafe(record.key)
  const route = state.routes.get(clientId)
  if (route !== undefined && seq <= route.prev) {
    state.counts.repeats++
    return
  }
  // Who has a route was looked at before.
  if (route === undefined && !isClientId(clientId)) return refuse(state, record, "the key is no client id", out)
  if (isBarrier(record.value)) return barrier(state, clientId, seq, record, out)
  if (route === undefined) spill(state, record, state.outstanding.spilled(record.offset))
  else push(state, clientId, route, seq, record, out)
}

const barrier = (state: State, clientId: ClientId, seq: Seq, record: StoredRecord, out: Out): void => {
  const placed = decodePlacedBarrier(record.value)
  if (Result.isFailure(placed)) return refuse(state, record, placed.failure.reason, out)
  const { barrier } = placed.success
  const before = state.routes.get(clientId)
  divert(state, clientId, "barrier")
  const id = routeIdOf(state.id, ++state.routesMade)
  invariant(before?.id !== id, "Router", 4)
  const value = encodePlacedBarrier(seq, { ...barrier, route: id })
  spill(state, { ...record, value }, state.outstanding.spilled(record.offset))
  if (state.routes.size >= state.limits.routes) divertOldestRoute(state)
  state.routes.set(clientId, { id, pod: barrier.pod, prev: seq, inflight: [], first: 0 })
}

const push = (state: State, clientId: ClientId, route: Route, seq: Seq, record: StoredRecord, out: Out): void => {
  const { limits, outstanding } = state
  if (route.inflight.length - route.first >= limits.inflight_results_per_client) {
    divert(state, clientId, "client-full")
    return spill(state, record, outstanding.spilled(record.offset))
  }
  if (state.inflight >= limits.inflight_results) divertOldestInFlight(state, clientId)
  if (!state.routes.has(clientId)) return spill(state, record, outstanding.spilled(record.offset))
  const { id, inflight, prev } = route
  invariant(seq > prev, "Router", 1)
  publish(
    state,
    route.pod,
    { _tag: "Push", clientId, seq, prev, route: id, value: record.value, headers: record.headers },
    out,
  )
  inflight.push({ seq, index: outstanding.pushed(record.offset, clientId, state.tick), record })
  route.prev = seq
  state.inflight++
  state.counts.pushed++
}

const publish = (state: State, pod: PodId, push: Push, out: Out): void => {
  const pushes = state.publishing.get(pod)
  if (pushes !== undefined) return void pushes.push(push)
  const first = [push]
  state.publishing.set(pod, first)
  out.push({ _tag: "Publish", pod, pushes: first })
}

/** The commit waits for its quarantine. */
const refuse = (state: State, record: StoredRecord, reason: string, out: Out): void => {
  const index = state.outstanding.spilled(record.offset)
  out.push({ _tag: "Quarantine", unreadable: { record, reason, index, generation: state.generation } })
}

// Diverting

const divert = (state: State, clientId: ClientId, reason: DivertReason): void => {
  const route = state.routes.get(clientId)
  if (route === undefined) return
  state.routes.delete(clientId)
  state.counts[reason]++
  let before = -1
  for (let i = route.first; i < route.inflight.length; i++) {
    const { index, record, seq } = route.inflight[i]!
    invariant(seq > before, "Router", 3)
    before = seq
    state.outstanding.diverted(index)
    if (record.headers !== undefined) state.reasons.set(record, reason)
    spill(state, record, index)
  }
  state.inflight -= route.inflight.length - route.first
}

const divertOldestRoute = (state: State): void => {
  for (const clientId of state.routes.keys()) return divert(state, clientId, "router-full")
}

/** Falls on whoever has held the commit back for longest; on the client at hand if nobody has anything in flight. */
const divertOldestInFlight = (state: State, clientId: ClientId): void => {
  divert(state, state.outstanding.oldestPushed() ?? clientId, "router-full")
}
