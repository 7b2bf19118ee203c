/**
 * Which offsets of a partition are finished: all below `next`, which is the commit, and some above it, which go with the
 * commit as its metadata, so that a crash repeats only what was not finished.
 *
 * ```
 *   offset    ...7  8  9  10  11  12        metadata: "1 <next> <bits> <held> <incarnation>"
 *   finished    x   .  x   x   .   x               or "2 <next> <bits> <held> <oldest> <incarnation>"
 *                  next          end        bits:     from `next` on, 0 1 1 0 1, in base64
 *                                           held:     whose handler holds `next` back, and since when
 *                                           oldest:   the first record below `next` that a reader must read again
 * ```
 *
 * 1. `next` is the lowest offset that is not finished; an offset that holds no record counts as finished.
 * 2. What is written counts from `next` and names it and the incarnation: bits that belong to another commit or to
 *    another life of the topics are ignored, and cost repeats.
 * 3. Who holds the commit back goes with it for operators alone: nothing is decided by it.
 * 4. What is written is never longer than `commitLimits.metadata_bytes`: bits at the top are left out.
 * 5. What has no `oldest` is written as versions from before it read it.
 */
import { Result } from "effect"
import { Base64 } from "effect/encoding"
import type { Committed } from "./Reads.ts"
import { type Incarnation, type Seq, seqUnsafe } from "./Ids.ts"
import { commitLimits } from "../Limits.ts"

const version = "1"
const withOldest = "2"
const unfinished = 0
const finished = 1

/** Which events above the commit are finished, so that they are not handled again after a crash. */
export class FinishedSet {
  /** By offset from `base` on. Beyond `end` stands what an earlier owner finished. */
  private marks: Uint8Array
  private base: number
  private lowest: number
  private last: number
  /** Of the marks from `lowest` on. */
  private above: number

  /** What a commit says. */
  constructor(next: number, above: Above = none) {
    this.base = next
    this.lowest = next
    this.last = next
    this.marks = new Uint8Array(Math.max(1_024, 8 * above.bits.length))
    this.above = above.count
    for (let i = 0; i < 8 * above.bits.length; i++) this.marks[i] = above.has(next + i) ? finished : unfinished
  }

  /** The lowest offset that is not finished: the commit. */
  get next(): number {
    return this.lowest
  }

  /** As far as was read. */
  get end(): number {
    return this.last
  }

  /** How many offsets above `next` are finished. */
  get finishedAbove(): number {
    return this.above
  }

  has(offset: number): boolean {
    return offset < this.lowest || this.marks[offset - this.base] === finished
  }

  /** The offsets up to `next` were read, and of those from `end` on these alone hold a record. */
  read(records: ReadonlyArray<{ readonly offset: number }>, next: number): void {
    this.reserve(next - this.base)
    for (const { offset } of records) {
      for (; this.last < offset; this.last++) this.mark(this.last)
      if (this.last === offset) this.last++
    }
    for (; this.last < next; this.last++) this.mark(this.last)
    this.advance()
  }

  /** This one is finished now. */
  finish(offset: number): void {
    this.mark(offset)
    if (offset === this.lowest) this.advance()
  }

  /** The commit (2, 3, 4, 5). */
  committed(incarnation: Incarnation, beside: CommittedBeside = {}): Committed {
    const isPlain = this.above === 0 && beside.held === undefined && beside.oldest === undefined
    return { next: this.lowest, metadata: isPlain ? "" : this.encode(incarnation, beside) }
  }

  private encode(incarnation: Incarnation, { held, oldest }: CommittedBeside): string {
    const frame = (bits: string): string => {
      const common = `${this.lowest} ${bits} ${encodeHeld(held)}`
      return oldest === undefined
        ? `${version} ${common} ${incarnation}`
        : `${withOldest} ${common} ${oldest} ${incarnation}`
    }
    const room_bytes = commitLimits.metadata_bytes - encoder.encode(frame("")).length
    const most = Math.max(0, 3 * Math.floor(room_bytes / 4))
    const from = this.lowest - this.base
    let used = Math.min(8 * most, this.marks.length - from)
    while (used > 0 && this.marks[from + used - 1] !== finished) used--
    const bits = new Uint8Array(Math.ceil(used / 8))
    for (let i = 0; i < used; i++) if (this.marks[from + i] === finished) bits[i >> 3]! |= 1 << (i & 7)
    return frame(Base64.encode(bits))
  }

  private mark(offset: number): void {
    if (this.has(offset)) return
    this.marks[offset - this.base] = finished
    this.above++
  }

  private advance(): void {
    while (this.lowest < this.last && this.marks[this.lowest - this.base] === finished) {
      this.lowest++
      this.above--
    }
    const done = this.lowest - this.base
    if (done < 65_536 || 2 * done < this.marks.length) return
    this.marks = this.marks.slice(done)
    this.base = this.lowest
  }

  private reserve(length: number): void {
    if (length <= this.marks.length) return
    const larger = new Uint8Array(2 * length)
    larger.set(this.marks)
    this.marks = larger
  }
}

/** Whose handler a commit waits for. */
export interface Held {
  readonly clientId: string
  /** Of the event. */
  readonly name: string
  /** When the handler began, in ms since 1970. */
  readonly since_ms: number
}

/** What goes with a commit beside what is finished above it. */
export interface CommittedBeside {
  readonly held?: Held | undefined
  /** Where a reader must begin that needs what lies below the commit: `TaskLedger.oldest`. */
  readonly oldest?: Seq | undefined
}

/** What is finished above a commit, and what went with it. */
export interface Above {
  readonly count: number
  readonly held: Held | undefined
  readonly oldest: Seq | undefined
  readonly bits: Uint8Array
  has(offset: number): boolean
}

/** What a commit's metadata says of the offsets above it; nothing, where it is not of this commit and incarnation (2). */
export const finishedAbove = ({ metadata, next }: Committed, incarnation: Incarnation): Above => {
  const [its, at, text, held, ...rest] = metadata.split(" ")
  const oldest = its === withOldest ? Number(rest.shift()) : undefined
  if ((its !== version && its !== withOldest) || at !== String(next) || text === undefined) return none
  if (rest.join(" ") !== incarnation || !isBelow(oldest, next)) return none
  const decoded = Base64.decode(text)
  if (Result.isFailure(decoded)) return none
  const bits = decoded.success
  let count = 0
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count++
  return {
    count,
    held: decodeHeld(held),
    oldest: oldest === undefined ? undefined : seqUnsafe(oldest),
    bits,
    has: (offset) => {
      const i = offset - next
      return i >= 0 && i < 8 * bits.length && (bits[i >> 3]! & (1 << (i & 7))) !== 0
    },
  }
}

const isBelow = (oldest: number | undefined, next: number): boolean =>
  oldest === undefined || (Number.isSafeInteger(oldest) && oldest >= 0 && oldest < next)

const none: Above = { count: 0, held: undefined, oldest: undefined, bits: new Uint8Array(), has: () => false }

/** A client id and a name may have any character. Of both so many bytes are kept. */
const held_bytes = 1_024

const encodeHeld = (held: Held | undefined): string => {
  if (held === undefined) return ""
  const text = [held.clientId, held.name, String(held.since_ms)].map(encodeURIComponent).join("/")
  return text.length > held_bytes ? "" : text
}

const decodeHeld = (text: string | undefined): Held | undefined => {
  const [clientId, name, since] = (text ?? "").split("/")
  const since_ms = Number(since)
  if (clientId === undefined || name === undefined || !Number.isSafeInteger(since_ms)) return undefined
  try {
    return { clientId: decodeURIComponent(clientId), name: decodeURIComponent(name), since_ms }
  } catch {
    return undefined
  }
}

const encoder = new TextEncoder()
