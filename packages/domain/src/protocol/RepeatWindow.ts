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
 * 4. No name is further from its home in the table than its entry can say. Names gather at one place by chance alone, and
 *    then nowhere near so far: homes depend on a secret of this reader, so nobody can choose ids that share one.
 *
 * A name is an id, of one owner and one kind. It is kept as 64 bits of a hash (`halfSipHash`), and two names share them once
 * in 10^14 records with the window at its default. Then the second is taken for a repeat. To make another's name appear as
 * one, somebody must know it beforehand, and find a name of their own for it among 2^64.
 *
 * ```
 *   by offset   high, low   the hash          ◀─┐    an entry: the place of the latest use of a name, and so many bits of
 *               following   chains its uses     │    its spread hash that those next to it are told apart by themselves
 *   by home     entries     ────────────────────┘
 * ```
 *
 * Deterministic; no I/O, clock or randomness. It updates its own state in place. Nothing is allocated for a record, and of
 * the table mostly one line of the processor's cache is touched for each record that comes, and one for each that goes.
 */
import type { RepeatLimits } from "../Limits.ts"
import type { Incarnation } from "./Ids.ts"
import { halfSipHash, type Words } from "./internal/HalfSipHash.ts"
import { invariant } from "./internal/Invariant.ts"

const free = 0
/** Of the spread hash behind the home, so that few names are compared with another that has the same home. */
const further_bits = 4

/** The names of the last records of a partition. */
export class RepeatWindow {
  /** By offset modulo the window: the halves of its name's hash, 0 and 0 where it has none. */
  private readonly high: Int32Array
  private readonly low: Int32Array
  /** By offset modulo the window: the place of the next use of its name; of the latest use, that of the first. */
  private readonly following: Uint32Array
  /** Open addressing, in the order of homes: one more than the place of the latest use, and the tag behind it. */
  private readonly entries: Int32Array
  private readonly mask: number
  private readonly homeShift: number
  private readonly tagShift: number
  private readonly tagBits: number
  private readonly tagMask: number
  /** How far from its home an entry may be. */
  private readonly reach: number
  private readonly spreadBy: Words = { low: 0, high: 0 }
  private readonly key: Words = { low: 0, high: 0 }
  private readonly hash: Words = { low: 0, high: 0 }
  /** The offset that comes next, and its place. */
  private end = 0
  private endPlace = 0

  /** `secret`: what no client can know. Homes depend on it, and no verdict does. */
  constructor({ dedupe_records }: Pick<RepeatLimits, "dedupe_records">, incarnation: Incarnation, secret: string) {
    this.high = new Int32Array(dedupe_records)
    this.low = new Int32Array(dedupe_records)
    this.following = new Uint32Array(dedupe_records)
    const homeBits = Math.ceil(Math.log2(1.25 * dedupe_records + 1))
    this.entries = new Int32Array(2 ** homeBits)
    this.mask = this.entries.length - 1
    this.homeShift = 32 - homeBits
    this.tagShift = this.homeShift - further_bits
    this.tagBits = Math.clz32(dedupe_records)
    this.tagMask = 2 ** this.tagBits - 1
    this.reach = Math.min(2 ** (this.tagBits - further_bits), this.entries.length) - 1
    halfSipHash(this.key, 0, "", incarnation, this.key)
    halfSipHash(this.spreadBy, 0, "", secret, this.spreadBy)
    this.spreadBy.low |= 1
    this.spreadBy.high |= 1
  }

  /** The bytes that it takes up. */
  get bytes(): number {
    return this.high.byteLength + this.low.byteLength + this.following.byteLength + this.entries.byteLength
  }

  /** How far from its home the furthest name is now. It looks at all. */
  get furthest(): number {
    return this.entries.reduce(
      (most, entry, slot) => (entry === free ? most : Math.max(most, this.distance(entry, slot))),
      0,
    )
  }

  /**
   * Takes the next record that has a name, in the order of the log: an id of an owner, of one kind or another. Returns the
   * lowest offset of the window that has the same name, if there is one: then this is a repeat of it.
   */
  take(offset: number, kind: 0 | 1, owner: string, id: string): number | undefined {
    const place = this.advance(offset)
    halfSipHash(this.key, kind, owner, id, this.hash)
    const high = this.hash.high || 1
    const { low } = this.hash
    this.high[place] = high
    this.low[place] = low
    const spread = this.spread(high, low)
    const tag = (spread >>> this.tagShift) & this.tagMask
    const entry = ((place + 1) << this.tagBits) | tag
    let slot = spread >>> this.homeShift
    for (let distance = 0; ; distance++, slot = (slot + 1) & this.mask) {
      const other = this.entries[slot]!
      if (other === free || this.distance(other, slot) < distance) {
        invariant(distance < this.reach, "RepeatWindow", 4)
        this.insert(slot, entry)
        this.following[place] = place
        return undefined
      }
      if ((other & this.tagMask) !== tag) continue
      const latest = (other >>> this.tagBits) - 1
      if (this.high[latest] !== high || this.low[latest] !== low) continue
      this.entries[slot] = entry
      const first = this.following[latest]!
      this.following[latest] = place
      this.following[place] = first
      return offset - (place - first) - (first > place ? this.high.length : 0)
    }
  }

  /** The lowest offset that has this name, in the window that ends with the record that was taken last. Takes nothing. */
  find(kind: 0 | 1, owner: string, id: string): number | undefined {
    halfSipHash(this.key, kind, owner, id, this.hash)
    const high = this.hash.high || 1
    const { low } = this.hash
    for (let slot = this.spread(high, low) >>> this.homeShift; ; slot = (slot + 1) & this.mask) {
      const entry = this.entries[slot]!
      if (entry === free) return undefined
      const latest = (entry >>> this.tagBits) - 1
      if (this.high[latest] !== high || this.low[latest] !== low) continue
      const first = this.following[latest]!
      return this.end - this.endPlace + first - (first < this.endPlace ? 0 : this.high.length)
    }
  }

  /** Forgets what is a window or more before `offset`, and returns its place. */
  private advance(offset: number): number {
    const { length } = this.high
    invariant(offset >= this.end, "RepeatWindow", 1)
    if (offset - this.end >= length) {
      this.high.fill(free)
      this.entries.fill(free)
      this.endPlace = offset % length
      this.end = offset
    }
    let place = this.endPlace
    for (; ; place = place + 1 === length ? 0 : place + 1) {
      if (this.high[place] !== free) this.forget(place)
      if (this.end++ === offset) break
    }
    this.endPlace = place + 1 === length ? 0 : place + 1
    return place
  }

  /** The oldest use of its name. */
  private forget(place: number): void {
    const high = this.high[place]!
    const low = this.low[place]!
    const spread = this.spread(high, low)
    const tag = (spread >>> this.tagShift) & this.tagMask
    this.high[place] = free
    let slot = spread >>> this.homeShift
    for (; ; slot = (slot + 1) & this.mask) {
      const entry = this.entries[slot]!
      const latest = (entry >>> this.tagBits) - 1
      if (latest === place) return this.remove(slot)
      if ((entry & this.tagMask) === tag && this.high[latest] === high && this.low[latest] === low) {
        this.following[latest] = this.following[place]!
        return
      }
    }
  }

  /** All from here on to the next free slot make way: they stay in the order of their homes. */
  private insert(at: number, entry: number): void {
    let slot = at
    let carried = entry
    while (carried !== free) {
      const next = this.entries[slot]!
      this.entries[slot] = carried
      carried = next
      slot = (slot + 1) & this.mask
    }
  }

  /** Those that follow come nearer to their homes, up to one that is at its own. */
  private remove(at: number): void {
    let slot = at
    for (;;) {
      const next = (slot + 1) & this.mask
      const entry = this.entries[next]!
      if (entry === free || this.distance(entry, next) === 0) break
      this.entries[slot] = entry
      slot = next
    }
    this.entries[slot] = free
  }

  /** How far an entry is from its home, of which its tag has the lower bits. */
  private distance(entry: number, slot: number): number {
    return (slot - ((entry & this.tagMask) >>> further_bits)) & this.reach
  }

  /** Multiply-add hashing (Dietzfelbinger): the home is in the upper bits. */
  private spread(high: number, low: number): number {
    return (Math.imul(low, this.spreadBy.low) + Math.imul(high, this.spreadBy.high)) | 0
  }
}
