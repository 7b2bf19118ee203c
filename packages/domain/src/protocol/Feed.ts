/**
 * The results topic of one partition, for all sessions of direct delivery that a process has there: one reader at the
 * end of the log, and at most one more for those who are behind.
 *
 * ```
 *               ┌─────────── pass: reads from the lowest position ───────────┐   ┌── recent ──┐
 *   log  ───────┼──────────────────────────────────────────────────────┬────┼───┼────────────┤ next
 *               │ behind: wait for a pass          members: given what  │    │   │  live: given what comes
 *               └──────────────────────────────────it reads─────────────┘    └───┴────────────┘
 * ```
 *
 * Invariants:
 * 1. A follower is given all of its records from its position on, in order, and nothing twice in one sitting; or it is
 *    told that there is a gap.
 * 2. Who can't take a record leaves by its own word and holds up nobody. It comes back (`follow`) with its position: to
 *    the recent chunks if they go back so far, else to the pass under way, else to the next one.
 * 3. A pass begins with everyone who waits, at the lowest position, and ends where the recent chunks begin; so nobody
 *    waits for more than the pass under way.
 * 4. What is kept: the recent chunks, at most `recent_bytes` (one chunk is always kept), and the last chunk of a pass.
 *
 * Deterministic; no I/O, clock or randomness. The shell reads as `wanted` says and hands over what it read.
 */
import type { Chunk } from "./Reads.ts"
import type { ClientId } from "./Ids.ts"
import { clientIdUnsafe } from "./Ids.ts"
import { type Item, peekSeq } from "./Records.ts"

/** A record of the results topic. */
export interface LogItem extends Item {
  readonly offset: number
}

/** A session, as its feed sees it. */
export interface Follower {
  readonly clientId: ClientId
  /** The next offset to read for it, as far as it was told: what was passed in silence is not counted. */
  readonly position: number | undefined
  /** All of its records from its position up to `next`. `false`: it has left. */
  records(records: ReadonlyArray<LogItem>, next: number): boolean
  /** There is nothing of it between its position and `next`. */
  passed(next: number): void
  /** The log has no more what comes next for it. It has left. */
  gap(): void
  /** It is given what comes as it comes. */
  caughtUp(): void
  /** It is given what is older. */
  fellBehind(): void
}

/** What may be waited for between two chunks of a pass. */
export type PassState = "done" | "more" | "idle"

/** What bounds a feed, and how it asks for a pass. */
export interface FeedOptions {
  readonly recent_bytes: number
  /** Somebody waits for a pass, or has come to the one under way. */
  readonly wake: () => void
}

/** Reads one partition of the results topic for all direct sessions of a gateway. */
export class Feed {
  private readonly options: FeedOptions
  private end: number | undefined = undefined
  private recent: Array<Shared> = []
  private recent_bytes = 0
  private readonly live = new Map<ClientId, Follower>()
  private readonly behind = new Map<ClientId, Follower>()
  private pass: { next: number; last: Shared | undefined; readonly members: Map<ClientId, Follower> } | undefined =
    undefined

  constructor(options: FeedOptions) {
    this.options = options
  }

  /** The offset that the reader at the end reads next; `undefined` until `begin`. */
  get next(): number | undefined {
    return this.end
  }

  /** How many followers are live, wait for a pass, and are in one. */
  get size(): { readonly live: number; readonly behind: number; readonly passing: number } {
    return { live: this.live.size, behind: this.behind.size, passing: this.pass?.members.size ?? 0 }
  }

  /** From its position on. A follower has one place. */
  follow(follower: Follower): void {
    const { position } = follower
    if (position === undefined) return
    const { pass } = this
    if (this.end !== undefined && position >= this.recentFrom) return this.join(follower)
    follower.fellBehind()
    if (pass !== undefined && position >= (pass.last?.from ?? pass.next)) {
      if (pass.last !== undefined && position < pass.next) {
        if (!follower.records(pass.last.of(follower.clientId), pass.next)) return
      }
      pass.members.set(follower.clientId, follower)
    } else this.behind.set(follower.clientId, follower)
    this.options.wake()
  }

  /** Tells a follower how far it has got, for it is not told of what is not its own. */
  inform(follower: Follower): void {
    const { clientId } = follower
    if (this.live.get(clientId) === follower && this.end !== undefined) follower.passed(this.end)
    if (this.pass?.members.get(clientId) === follower) follower.passed(this.pass.next)
  }

  leave(follower: Follower): void {
    this.inform(follower)
    for (const place of [this.live, this.behind, this.pass?.members]) remove(place, follower)
  }

  // At the end

  /** The reader at the end starts here. */
  begin(at: number): void {
    this.end = at
    for (const follower of take(this.behind)) this.follow(follower)
  }

  /** The next chunk at the end. */
  chunk(chunk: Chunk): void {
    if (this.end === undefined || chunk.next <= this.end) return
    if (chunk.from > this.end) this.skip()
    const shared = new Shared(chunk)
    this.end = chunk.next
    this.keep(shared)
    for (const [clientId, records] of shared.byClient) {
      const follower = this.live.get(clientId)
      if (follower !== undefined && !follower.records(records, chunk.next)) remove(this.live, follower)
    }
  }

  /** The first offset that the log retains: what it lacks no chunk will ever tell, if nothing new comes. */
  retained(earliest: number): void {
    if (this.end === undefined || earliest <= this.end) return
    this.end = earliest
    this.skip()
  }

  // Behind it

  /** Whether a pass should begin. */
  get wanted(): boolean {
    return this.pass === undefined && this.end !== undefined && this.behind.size > 0
  }

  /** Begins a pass with all who wait; answers where to read from, or that there is nobody whom the log can help. */
  beginPass(earliest: number): number | undefined {
    const members = new Map<ClientId, Follower>()
    let from = Infinity
    for (const follower of take(this.behind)) {
      const { position } = follower
      if (position === undefined) continue
      if (position < earliest) follower.gap()
      else {
        members.set(follower.clientId, follower)
        from = Math.min(from, position)
      }
    }
    if (members.size === 0) return undefined
    this.pass = { next: from, last: undefined, members }
    return from
  }

  /** The next chunk of the pass. `idle`: nobody can take more just now. */
  passChunk(chunk: Chunk): PassState {
    const { pass } = this
    if (pass === undefined) return "done"
    if (chunk.from > pass.next) this.skipInPass(pass.members, chunk.from)
    const shared = new Shared(chunk)
    pass.next = chunk.next
    pass.last = shared
    for (const [clientId, records] of shared.byClient) {
      const follower = pass.members.get(clientId)
      if (follower !== undefined && !follower.records(records, chunk.next)) remove(pass.members, follower)
    }
    if (pass.next >= this.recentFrom) return this.arrive()
    return this.passState
  }

  get passState(): PassState {
    if (this.pass === undefined) return "done"
    return this.pass.members.size > 0 ? "more" : "idle"
  }

  /** The pass is over, wherever it has got to. Who was in it waits for the next one. */
  endPass(): void {
    const { pass } = this
    if (pass === undefined) return
    this.pass = undefined
    for (const follower of pass.members.values()) {
      follower.passed(pass.next)
      this.follow(follower)
    }
  }

  private arrive(): "done" {
    this.endPass()
    return "done"
  }

  private get recentFrom(): number {
    return this.recent[0]?.from ?? this.end ?? Infinity
  }

  /** Gives what is recent, and then what comes. */
  private join(follower: Follower): void {
    for (const shared of this.recent) {
      if (shared.next <= (follower.position ?? Infinity)) continue
      const records = shared.byClient.get(follower.clientId)
      if (records !== undefined && !follower.records(records, shared.next)) return
    }
    if (this.end !== undefined) follower.passed(this.end)
    this.live.set(follower.clientId, follower)
    follower.caughtUp()
  }

  private keep(shared: Shared): void {
    this.recent.push(shared)
    this.recent_bytes += shared.bytes
    while (this.recent.length > 1 && this.recent_bytes > this.options.recent_bytes) {
      this.recent_bytes -= this.recent.shift()!.bytes
    }
  }

  /** What was to be read at the end is retained no more. */
  private skip(): void {
    this.recent = []
    this.recent_bytes = 0
    for (const follower of take(this.live)) follower.gap()
  }

  private skipInPass(members: Map<ClientId, Follower>, from: number): void {
    for (const follower of members.values()) {
      if ((follower.position ?? from) >= from) continue
      members.delete(follower.clientId)
      follower.gap()
    }
  }
}

/** A chunk by client, made once for all. */
class Shared {
  readonly from: number
  readonly next: number
  readonly bytes: number
  readonly byClient = new Map<ClientId, Array<LogItem>>()

  constructor({ from, next, records }: Chunk) {
    this.from = from
    this.next = next
    let bytes = 0
    for (const { headers, key, offset, value } of records) {
      const seq = peekSeq(value)
      // What is none of ours the result consumers quarantine.
      if (seq === undefined) continue
      const clientId = clientIdUnsafe(key)
      const item: LogItem = { seq, value, headers, offset }
      const own = this.byClient.get(clientId)
      if (own === undefined) this.byClient.set(clientId, [item])
      else own.push(item)
      bytes += value.length
    }
    this.bytes = bytes
  }

  of(clientId: ClientId): ReadonlyArray<LogItem> {
    return this.byClient.get(clientId) ?? []
  }
}

const remove = (place: Map<ClientId, Follower> | undefined, follower: Follower): void => {
  if (place?.get(follower.clientId) === follower) place.delete(follower.clientId)
}

/** Empties a place; answers who was there. */
const take = (place: Map<ClientId, Follower>): ReadonlyArray<Follower> => {
  const all = [...place.values()]
  place.clear()
  return all
}
