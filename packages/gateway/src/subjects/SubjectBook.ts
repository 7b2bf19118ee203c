/**
 * What one subject may have of a gateway: connections at once, frames and bytes in a time, rooms at once, tickets in a
 * minute, and client ids that are new in a day. A subject may be one person or a fleet of devices, so the bounds are wide,
 * and one that is refused is served again as soon as it keeps to them. What one subject uses up is never taken from another
 * one.
 *
 * 1. What is refused is counted nowhere, as if it had not been asked.
 * 2. Frames and bytes: a token bucket each, for all connections of the subject together. What came is taken on credit, and
 *    its connections are read no further until that is paid back. Beyond `credit_ms` of it frames are refused.
 * 3. A client id is new to a subject that has not used it for a day, as far as `ids` are remembered. The subject's own id
 *    never is. New ids and tickets: the generic cell rate algorithm (ITU-T I.371), so many in a row and then so many in a
 *    time.
 * 4. A subject is remembered as long as it has a connection. Of others at most `subjects` are, those that have asked most
 *    lately (`Generations`).
 *
 * Deterministic: the caller says what time it is.
 */
import { TokenBucket } from "@nimbus/domain/pacing"
import type { SubjectLimits } from "../Limits.ts"
import { Generations } from "../Generations.ts"

export type SubjectRefusal =
  | "SUBJECT_CONNECTIONS"
  | "SUBJECT_FRAMES"
  | "SUBJECT_BYTES"
  | "SUBJECT_ROOMS"
  | "SUBJECT_NEW_IDS"
  | "SUBJECT_TICKETS"
  | "SUBJECT_MAIL"

/** Why not now, and when it may be tried again. */
export interface TooMuch {
  readonly code: SubjectRefusal
  readonly retry_ms: number
}

/** So much time is a day. */
const day_ms = 24 * 60 * 60 * 1000
const minute_ms = 60 * 1000

/** What is known of one subject. */
interface Entry {
  readonly owner: string
  connections: number
  readonly frames: TokenBucket
  readonly bytes: TokenBucket
  /** How many of its connections are in each. */
  readonly rooms: Map<string, number>
  /** When its next new id, and its next ticket, is due, if it were to keep the pace exactly. */
  newId_ms: number
  ticket_ms: number
}

/** One connection of a subject. */
export interface SubjectConnection {
  /** A frame came on it. Undefined: it may be taken; a refused one is not counted. */
  frame(bytes: number, now_ms: number): TooMuch | undefined
  /** What the subject has taken on credit: how long its connections are not to be read. */
  owed(now_ms: number): TooMuch | undefined
  /** It comes into a room, in which it stays until it is closed, unless it may not. */
  join(room: string): TooMuch | undefined
  /** Once. */
  close(): void
}

export class SubjectBook {
  private readonly limits: SubjectLimits
  /** Those with connections. */
  private readonly open = new Map<string, Entry>()
  private readonly idle: Generations<Entry>
  private readonly ids: UsedIds

  constructor(limits: SubjectLimits) {
    this.limits = limits
    this.idle = new Generations(limits.subjects)
    this.ids = new UsedIds(limits.ids)
  }

  /** Subjects that are remembered. */
  get size(): number {
    return this.open.size + this.idle.size
  }

  /** Client ids that are remembered. */
  get idsRemembered(): number {
    return this.ids.size
  }

  /**
   * It connects as a client: its own (`undefined`), or another one. One that takes the place of another connection, which
   * then ends, may come although there are as many as may be.
   */
  connect(owner: string, client: string | undefined, now_ms: number, replaces = false): SubjectConnection | TooMuch {
    const entry = this.entryOf(owner, now_ms)
    const { connections, connections_retry_ms } = this.limits
    const refusal =
      entry.connections >= (replaces ? 2 * connections : connections)
        ? ({ code: "SUBJECT_CONNECTIONS", retry_ms: connections_retry_ms } as const)
        : (this.beyondCredit(entry, now_ms) ?? this.use(entry, client, now_ms))
    if (refusal !== undefined) {
      this.settle(entry)
      return refusal
    }
    entry.connections++
    this.idle.delete(owner)
    this.open.set(owner, entry)
    return this.connectionOf(entry)
  }

  /** It asks for something without a connection, for its `own` client or another one, as if by so many frames. */
  ask(
    owner: string,
    { bytes, client, frames }: { readonly bytes: number; readonly client: string | undefined; readonly frames: number },
    now_ms: number,
  ): TooMuch | undefined {
    const entry = this.entryOf(owner, now_ms)
    const refusal = this.owedBy(entry, now_ms) ?? this.use(entry, client, now_ms)
    if (refusal === undefined) this.spend(entry, frames, bytes, now_ms)
    this.settle(entry)
    return refusal
  }

  /** It takes a ticket. */
  ticket(owner: string, now_ms: number): TooMuch | undefined {
    const entry = this.entryOf(owner, now_ms)
    const { due_ms, retry_ms } = paced(entry.ticket_ms, this.limits.tickets_per_minute, minute_ms, now_ms)
    if (retry_ms === 0) entry.ticket_ms = due_ms
    this.settle(entry)
    return retry_ms === 0 ? undefined : { code: "SUBJECT_TICKETS", retry_ms }
  }

  private connectionOf(entry: Entry): SubjectConnection {
    const { rooms } = entry
    const own: Array<string> = []
    const leave = (room: string): void => {
      const present = rooms.get(room) ?? 0
      if (present > 1) rooms.set(room, present - 1)
      else rooms.delete(room)
    }
    return {
      frame: (bytes, now_ms) => {
        const refusal = this.beyondCredit(entry, now_ms)
        if (refusal === undefined) this.spend(entry, 1, bytes, now_ms)
        return refusal
      },
      owed: (now_ms) => this.owedBy(entry, now_ms),
      join: (room) => {
        const present = rooms.get(room) ?? 0
        if (present === 0 && rooms.size >= this.limits.rooms)
          return { code: "SUBJECT_ROOMS", retry_ms: this.limits.connections_retry_ms }
        rooms.set(room, present + 1)
        own.push(room)
        return undefined
      },
      close: () => {
        for (const room of own) leave(room)
        entry.connections--
        if (entry.connections > 0) return
        this.open.delete(entry.owner)
        this.settle(entry)
      },
    }
  }

  private entryOf(owner: string, now_ms: number): Entry {
    const found = this.open.get(owner) ?? this.idle.get(owner)
    if (found !== undefined) return found
    const { bytes_per_second, frames_per_second } = this.limits
    return {
      owner,
      connections: 0,
      frames: new TokenBucket(frames_per_second, now_ms),
      bytes: new TokenBucket(bytes_per_second, now_ms),
      rooms: new Map(),
      newId_ms: now_ms,
      ticket_ms: now_ms,
    }
  }

  private spend(entry: Entry, frames: number, bytes: number, now_ms: number): void {
    entry.frames.spend(now_ms, frames)
    entry.bytes.spend(now_ms, bytes)
  }

  private owedBy({ bytes, frames }: Entry, now_ms: number): TooMuch | undefined {
    const [frames_ms, bytes_ms] = [frames.owed_ms(now_ms), bytes.owed_ms(now_ms)]
    if (frames_ms === 0 && bytes_ms === 0) return undefined
    return frames_ms >= bytes_ms
      ? { code: "SUBJECT_FRAMES", retry_ms: frames_ms }
      : { code: "SUBJECT_BYTES", retry_ms: bytes_ms }
  }

  private beyondCredit(entry: Entry, now_ms: number): TooMuch | undefined {
    const owed = this.owedBy(entry, now_ms)
    return owed !== undefined && owed.retry_ms > this.limits.credit_ms ? owed : undefined
  }

  private use(entry: Entry, client: string | undefined, now_ms: number): TooMuch | undefined {
    if (client === undefined || this.ids.use(entry.owner, client, now_ms)) return undefined
    const { due_ms, retry_ms } = paced(entry.newId_ms, this.limits.new_ids_per_day, day_ms, now_ms)
    if (retry_ms > 0) return { code: "SUBJECT_NEW_IDS", retry_ms }
    entry.newId_ms = due_ms
    this.ids.add(entry.owner, client, now_ms)
    return undefined
  }

  /** It is the last that has asked. */
  private settle(entry: Entry): void {
    if (entry.connections === 0) this.idle.set(entry.owner, entry)
  }
}

/** One more, where so many in a row may be and then so many in a time: when the one after it is due, or how long to wait. */
const paced = (next_ms: number, most: number, time_ms: number, now_ms: number) => {
  // What lies further ahead was written under a clock that has gone back since.
  const due_ms = Math.min(Math.max(now_ms, next_ms), now_ms + time_ms) + time_ms / most
  return { due_ms, retry_ms: Math.max(0, Math.ceil(due_ms - now_ms - time_ms)) }
}

/** Which client ids a subject has used within a day. */
class UsedIds {
  private readonly used: Generations<number>

  constructor(most: number) {
    this.used = new Generations(most)
  }

  get size(): number {
    return this.used.size
  }

  /** Whether it was used already. */
  use(owner: string, client: string, now_ms: number): boolean {
    const used_ms = this.used.get(keyOf(owner, client))
    if (used_ms === undefined || now_ms - used_ms >= day_ms) return false
    this.add(owner, client, now_ms)
    return true
  }

  add(owner: string, client: string, now_ms: number): void {
    this.used.set(keyOf(owner, client), now_ms)
  }
}

const keyOf = (owner: string, client: string): string => `${owner} ${client}`
