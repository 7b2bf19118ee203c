/**
 * The router of one partition of the results topic (the result consumer's core; NimbusGRPC's mail sorter).
 *
 * ```
 *                      ┌────────────────── router ───────────────────┐
 *   results topic ───▶ │ a route, and at or below its prev? drop     │ ──▶ pushes, by pod
 *   (chunks, in order) │ a route? push, keep in flight               │
 *   acks, nacks, ticks │ none?    spill                              │ ──▶ backlog topic (one produce in flight)
 *                 ───▶ │ barrier? divert, new route, spill  with id  │
 *                      └─────────────────────────────────────────────┘ ──▶ commit
 * ```
 *
 * In memory, and nowhere else: `routes`, client → { pod, route id, prev }; per route what is in flight. To *divert* a client
 * is to spill what it has in flight, in order, and forget its route: always safe.
 *
 * Invariants:
 * 1. Of a client with a route, a record with `seq` ≤ `prev` is a repeat and changes nothing. Repeats of a client without
 *    one are spilled again: in its mailbox twice is the same as once.
 * 2. A push states a fact to whoever has read the barrier of its route at the end of the mailbox: nothing of its client
 *    lies between `prev` and `seq` but what was in that mailbox before the barrier.
 * 3. A client's records reach the backlog in order; one is left out only if the client acknowledged it.
 * 4. A route id is used once. A router that has no memory of a client may take a repeated old barrier for a new one, and
 *    its pushes would skip what is spilled behind it: nobody takes them who has not read that very copy of the barrier.
 * 5. The commit is the offset after the last record such that it and all before it are done.
 * 6. What is in memory belongs to the read position. A read that starts elsewhere starts with empty memory.
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place and takes whole chunks; the shell
 * carries out what it takes from `takePushes`, `takeSpill` and `takeCommit`.
 */
import { Result } from "effect"
import type { Chunk } from "./Reads.ts"
import type { ClientId, Cursor, PodId, RouteId, RouterId, Seq } from "./Ids.ts"
import { clientIdUnsafe, isClientId, routeIdOf } from "./Ids.ts"
import type { RouterLimits } from "../Limits.ts"
import { decodePlacedBarrier, encodePlacedBarrier, isBarrier, peekSeq } from "./Records.ts"
import type { Push, StoredRecord } from "./Records.ts"
import { Outstanding } from "./internal/Outstanding.ts"

/** Records to be written to the backlog in one produce, in order. */
export interface SpillBatch {
  readonly records: ReadonlyArray<StoredRecord>
  /** Whose memory it belongs to: a spill from before the memory was emptied is acknowledged in vain. */
  readonly generation: number
}

/** A record that is none of ours: to be quarantined with the reason, then `quarantined`. */
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

/** Decides, for one partition, which results are pushed to a gateway and which go to the mailbox. */
export class Router {
  /** How often each thing happened; the shell reads it for metrics. */
  readonly counts: Record<DivertReason, number> & { repeats: number; pushed: number; spilled: number }
  private readonly limits: RouterLimits
  private readonly id: RouterId
  /** Survives whatever else is forgotten (invariant 4). */
  private routesMade = 0
  private generation = 0
  private expected: number | undefined = undefined
  private routes = new Map<ClientId, Route>()
  private inflight = 0
  private outstanding = new Outstanding()
  private tick = 0
  private pushes = new Map<PodId, Array<Push>>()
  private waiting: Array<StoredRecord> = []
  private waitingIndexes: Array<number> = []
  private taken: SpillBatch | undefined = undefined
  private takenIndexes: Array<number> = []
  private unreadable: Array<Unreadable> = []
  /** Of sampled records alone, which have headers. */
  private readonly reasons = new WeakMap<StoredRecord, DivertReason>()

  /** `id`: of this router alone, ever. */
  constructor(limits: RouterLimits, id: RouterId) {
    this.limits = limits
    this.id = id
    this.counts = {
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
  }

  /** Where to go on reading with this memory; `undefined`: there is none, read from the commit. */
  get position(): number | undefined {
    return this.expected
  }

  /**
   * Clients with a route, results in flight, records that wait for the backlog, and `outstanding`: all from the first
   * that is not done to the last that was read, which the commit waits for.
   */
  get size(): Readonly<Record<"routes" | "inflight" | "spill" | "outstanding", number>> {
    const spill = this.waiting.length + this.takenIndexes.length
    return { routes: this.routes.size, inflight: this.inflight, spill, outstanding: this.outstanding.size }
  }

  /** The next chunk of the results topic. */
  chunk(chunk: Chunk): void {
    if (chunk.from !== this.expected) this.forget()
    for (const record of chunk.records) this.record(record)
    this.outstanding.passed(chunk.next)
    this.expected = chunk.next
  }

  /** The client has everything up to `seq`. */
  ack(clientId: ClientId, seq: Cursor): void {
    const route = this.routes.get(clientId)
    if (route === undefined) return
    const { inflight } = route
    let first = route.first
    while (first < inflight.length && inflight[first]!.seq <= seq) this.outstanding.done(inflight[first++]!.index)
    this.inflight -= first - route.first
    route.first = first
    if (first === inflight.length) {
      route.inflight = []
      route.first = 0
    } else if (first > 256 && first * 2 > inflight.length) {
      route.inflight = inflight.slice(first)
      route.first = 0
    }
  }

  /**
   * The pod can't take the client's pushes of this route now (of whichever it has, where none is named), or
   * (`unreceived`) nobody received a push of it. One that is late does not end a route that was made meanwhile.
   */
  nack(clientId: ClientId, route: RouteId | undefined, reason: "nack" | "unreceived" = "nack"): void {
    if (route === undefined || this.routes.get(clientId)?.id === route) this.divert(clientId, reason)
  }

  /** Time passes: diverts what was pushed `ack_timeout_ticks` ago and is still not acknowledged. */
  pass(): void {
    this.tick++
    for (const clientId of this.outstanding.pushedBefore(this.tick - this.limits.ack_timeout_ticks)) {
      this.divert(clientId, "ack-timeout")
    }
  }

  /** The pushes since the last call, by pod, in order. */
  takePushes(): ReadonlyMap<PodId, ReadonlyArray<Push>> {
    const taken = this.pushes
    if (taken.size > 0) this.pushes = new Map()
    return taken
  }

  /**
   * What to write to the backlog next, at most `records`: `undefined` while nothing waits or the last is not `spilled`
   * yet.
   */
  takeSpill(records: number): SpillBatch | undefined {
    if (this.taken !== undefined || this.waiting.length === 0) return undefined
    const all = this.waiting.length <= records
    this.taken = { records: all ? this.waiting : this.waiting.slice(0, records), generation: this.generation }
    this.takenIndexes = all ? this.waitingIndexes : this.waitingIndexes.slice(0, records)
    this.waiting = all ? [] : this.waiting.slice(records)
    this.waitingIndexes = all ? [] : this.waitingIndexes.slice(records)
    return this.taken
  }

  /** The spill that is under way, to be written again by a shell that was interrupted in the middle of it. */
  get underWay(): SpillBatch | undefined {
    return this.taken
  }

  /** The backlog has this spill. */
  spilled(spill: SpillBatch): void {
    if (spill !== this.taken) return
    for (const index of this.takenIndexes) this.outstanding.done(index)
    this.counts.spilled += this.takenIndexes.length
    this.taken = undefined
    this.takenIndexes = []
  }

  /** Why this record of a spill was diverted; `undefined`: its client had no route, or it is not sampled. */
  reasonOf(record: StoredRecord): DivertReason | undefined {
    return this.reasons.get(record)
  }

  /** Records to be quarantined, since the last call. */
  takeUnreadable(): ReadonlyArray<Unreadable> {
    const taken = this.unreadable
    if (taken.length > 0) this.unreadable = []
    return taken
  }

  /** The quarantine topic has this record. */
  quarantined(unreadable: Unreadable): void {
    if (unreadable.generation === this.generation) this.outstanding.done(unreadable.index)
  }

  /** The commit, if it has moved since the last call (invariant 5). */
  takeCommit(): number | undefined {
    return this.outstanding.takeCommit()
  }

  /** Invariant 6. */
  private forget(): void {
    this.generation++
    this.routes = new Map()
    this.inflight = 0
    this.outstanding = new Outstanding()
    this.pushes = new Map()
    this.waiting = []
    this.waitingIndexes = []
    this.taken = undefined
    this.takenIndexes = []
    this.unreadable = []
  }

  private record(record: StoredRecord): void {
    const seq = peekSeq(record.value)
    if (seq === undefined) return this.refuse(record, record.unreadable ?? "no seq at the start of the record")
    const clientId = clientIdUnsafe(record.key)
    const route = this.routes.get(clientId)
    if (route !== undefined && seq <= route.prev) {
      this.counts.repeats++
      return
    }
    // Who has a route was looked at before.
    if (route === undefined && !isClientId(clientId)) return this.refuse(record, "the key is no client id")
    if (isBarrier(record.value)) return this.barrier(clientId, seq, record)
    if (route === undefined) this.spill(record, this.outstanding.spilled(record.offset))
    else this.push(clientId, route, seq, record)
  }

  private barrier(clientId: ClientId, seq: Seq, record: StoredRecord): void {
    const placed = decodePlacedBarrier(record.value)
    if (Result.isFailure(placed)) return this.refuse(record, placed.failure.reason)
    const { barrier } = placed.success
    this.divert(clientId, "barrier")
    const id = routeIdOf(this.id, ++this.routesMade)
    const value = encodePlacedBarrier(seq, { ...barrier, route: id })
    this.spill({ ...record, value }, this.outstanding.spilled(record.offset))
    if (this.routes.size >= this.limits.routes) this.divertOldestRoute()
    this.routes.set(clientId, { id, pod: barrier.pod, prev: seq, inflight: [], first: 0 })
  }

  private push(clientId: ClientId, route: Route, seq: Seq, record: StoredRecord): void {
    if (route.inflight.length - route.first >= this.limits.inflight_results_per_client) {
      this.divert(clientId, "client-full")
      return this.spill(record, this.outstanding.spilled(record.offset))
    }
    if (this.inflight >= this.limits.inflight_results) this.divertOldestInFlight(clientId)
    if (!this.routes.has(clientId)) return this.spill(record, this.outstanding.spilled(record.offset))
    const { id, prev } = route
    const push: Push = { _tag: "Push", clientId, seq, prev, route: id, value: record.value, headers: record.headers }
    const ofPod = this.pushes.get(route.pod)
    if (ofPod === undefined) this.pushes.set(route.pod, [push])
    else ofPod.push(push)
    route.inflight.push({ seq, index: this.outstanding.pushed(record.offset, clientId, this.tick), record })
    route.prev = seq
    this.inflight++
    this.counts.pushed++
  }

  private spill(record: StoredRecord, index: number): void {
    this.waiting.push(record)
    this.waitingIndexes.push(index)
  }

  private divert(clientId: ClientId, reason: DivertReason): void {
    const route = this.routes.get(clientId)
    if (route === undefined) return
    this.routes.delete(clientId)
    this.counts[reason]++
    for (let i = route.first; i < route.inflight.length; i++) {
      const { index, record } = route.inflight[i]!
      this.outstanding.diverted(index)
      if (record.headers !== undefined) this.reasons.set(record, reason)
      this.spill(record, index)
    }
    this.inflight -= route.inflight.length - route.first
  }

  private divertOldestRoute(): void {
    for (const clientId of this.routes.keys()) return this.divert(clientId, "router-full")
  }

  /** Falls on whoever has held the commit back for longest; on the client at hand if nobody has anything in flight. */
  private divertOldestInFlight(clientId: ClientId): void {
    this.divert(this.outstanding.oldestPushed() ?? clientId, "router-full")
  }

  /** The commit waits for its quarantine. */
  private refuse(record: StoredRecord, reason: string): void {
    const index = this.outstanding.spilled(record.offset)
    this.unreadable.push({ record, reason, index, generation: this.generation })
  }
}
