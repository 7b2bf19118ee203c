/**
 * Pushes that can't be delivered yet, by seq, bounded in results and bytes. To hold a push is to let the channel delay
 * it; to refuse it is to let the channel lose it.
 */
import type { Cursor, Seq } from "../Ids.ts"
import type { Push } from "../Records.ts"

export class Held {
  private readonly max_results: number
  private readonly max_bytes: number
  private pushes: Array<Push> = []
  private first = 0
  private bytes = 0

  constructor(max_results: number, max_bytes: number) {
    this.max_results = max_results
    this.max_bytes = max_bytes
  }

  get results(): number {
    return this.pushes.length - this.first
  }

  /** Holds a push in order of seq, once; `false` if it does not fit. */
  add(push: Push): boolean {
    if (this.results >= this.max_results || this.bytes + push.value.length > this.max_bytes) return false
    let at = this.pushes.length
    while (at > this.first && this.pushes[at - 1]!.seq > push.seq) at--
    if (at > this.first && this.pushes[at - 1]!.seq === push.seq) return true
    this.pushes.splice(at, 0, push)
    this.bytes += push.value.length
    return true
  }

  /** How far everything before `seq` reaches: the highest seq held below it, or `delivered`. */
  before(seq: Seq, delivered: Cursor): Cursor {
    let at = this.pushes.length
    while (at > this.first && this.pushes[at - 1]!.seq >= seq) at--
    const before = at > this.first ? this.pushes[at - 1]!.seq : delivered
    return before > delivered ? before : delivered
  }

  /** The lowest push above `delivered`; those at or below are repeats by now and go. */
  next(delivered: Cursor): Push | undefined {
    while (this.results > 0 && this.pushes[this.first]!.seq <= delivered) this.remove()
    return this.pushes[this.first]
  }

  /** Removes what `next` gave. */
  remove(): void {
    this.bytes -= this.pushes[this.first++]!.value.length
    if (this.first === this.pushes.length || this.first >= 256) {
      this.pushes = this.pushes.slice(this.first)
      this.first = 0
    }
  }
}
