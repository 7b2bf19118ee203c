/**
 * Which records of a partition have a name that was used shortly before: the same one, sent again because no answer had come.
 *
 * ```
 *   offset   5    7    8    12    14    15      a window of 10 offsets
 *   name     a    b    a     c     a     a
 *            ╰─────────╯           │     │      8 and 14 are repeats of 5
 *                      ╰─ ─ ─ ─ ─ ─ ─ ─ ─╯      15 is one of 8: from there 5 is out of the window
 * ```
 *
 * Invariants:
 * 1. Records come in the order of the log.
 * 2. The verdict on a record depends on the names of the `dedupe_records` - 1 offsets before it alone. A reader that starts
 *    over reads that many offsets back, and finds what its predecessor found.
 * 3. Memory is fixed: 12 bytes for each offset of the window, and 5 to 10 for finding them.
 *
 * A name is kept as 64 bits of a hash, and two names share them once in 10^14 records with the window at its default. Then
 * the second is taken for a repeat. To make another's name appear as one, somebody must know it beforehand, and find a name
 * of their own for it among 2^64 (`halfSipHash`).
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place.
 */
import type { RepeatLimits } from "../Limits.ts"
import type { Incarnation } from "./Ids.ts"
import { halfSipHash } from "./internal/HalfSipHash.ts"
import { invariant } from "./internal/Invariant.ts"

const free = 0

/** The names of the last records of a partition. */
export class RepeatWindow {
  /** By offset modulo the window: the halves of its name's hash, 0 and 0 where it has none. */
  private readonly high: Uint32Array
  private readonly low: Uint32Array
  /** By offset modulo the window: the place of the next use of its name; of the latest use, that of the first. */
  private readonly following: Uint32Array
  /** Open addressing, by hash: one more than the place of the latest use. */
  private readonly slots: Uint32Array
  private readonly mask: number
  private readonly key = { low: 0, high: 0 }
  private readonly hash = { low: 0, high: 0 }
  private end = 0

  constructor({ dedupe_records }: Pick<RepeatLimits, "dedupe_records">, incarnation: Incarnation) {
    this.high = new Uint32Array(dedupe_records)
    this.low = new Uint32Array(dedupe_records)
    this.following = new Uint32Array(dedupe_records)
    this.slots = new Uint32Array(2 ** Math.ceil(Math.log2(1.25 * dedupe_records + 1)))
    this.mask = this.slots.length - 1
    halfSipHash(incarnation, { low: 0, high: 0 }, this.key)
  }

  /** The bytes that it takes up. */
  get bytes(): number {
    return this.high.byteLength + this.low.byteLength + this.following.byteLength + this.slots.byteLength
  }

  /**
   * Takes the next record that has a name, in the order of the log. Returns the lowest offset of the window that has the
   * same name, if there is one: then this is a repeat of it.
   */
  take(offset: number, name: string): number | undefined {
    this.advance(offset)
    const place = offset % this.high.length
    halfSipHash(name, this.key, this.hash)
    this.high[place] = this.hash.high || 1
    this.low[place] = this.hash.low
    const slot = this.slotOf(place)
    const latest = this.slots[slot]! - 1
    this.slots[slot] = place + 1
    if (latest < 0) {
      this.following[place] = place
      return undefined
    }
    const first = this.following[latest]!
    this.following[latest] = place
    this.following[place] = first
    return this.offsetOf(first, offset)
  }

  /** Forgets what is a window or more before `offset`. */
  private advance(offset: number): void {
    const { length } = this.high
    invariant(offset >= this.end, "RepeatWindow", 1)
    if (offset - this.end >= length) {
      this.high.fill(free)
      this.slots.fill(free)
    } else for (let from = this.end; from <= offset; from++) this.forget(from % length)
    this.end = offset + 1
  }

  /** The oldest use of its name, if that place has one. */
  private forget(place: number): void {
    if (this.high[place] === free) return
    const slot = this.slotOf(place)
    const latest = this.slots[slot]! - 1
    if (latest === place) this.remove(slot)
    else this.following[latest] = this.following[place]!
    this.high[place] = free
  }

  /** Where the name of this place is found, or may be put. */
  private slotOf(place: number): number {
    const high = this.high[place]
    const low = this.low[place]
    let slot = this.home(place)
    for (; this.slots[slot] !== free; slot = (slot + 1) & this.mask) {
      const other = this.slots[slot]! - 1
      if (this.high[other] === high && this.low[other] === low) break
    }
    return slot
  }

  /** Closes the gap that a removal leaves (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). */
  private remove(slot: number): void {
    let gap = slot
    for (let at = (slot + 1) & this.mask; this.slots[at] !== free; at = (at + 1) & this.mask) {
      const home = this.home(this.slots[at]! - 1)
      if (((at - home) & this.mask) < ((at - gap) & this.mask)) continue
      this.slots[gap] = this.slots[at]!
      gap = at
    }
    this.slots[gap] = free
  }

  private home(place: number): number {
    return this.low[place]! & this.mask
  }

  private offsetOf(place: number, before: number): number {
    const { length } = this.high
    return before - ((before - place + length) % length)
  }
}
