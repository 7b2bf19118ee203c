/**
 * Pushes that can't be delivered yet, by seq and route, bounded in results and bytes. To hold a push is to let the channel
 * delay it; to refuse it is to let the channel lose it.
 */
import type { Cursor, RouteId } from "../Ids.ts"
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

  /** Holds a push in order of seq, once for each route; `false` if it does not fit. */
  add(push: Push): boolean {
    if (this.results >= this.max_results || this.bytes + push.value.length > this.max_bytes) return false
    let at = this.pushes.length
    while (at > this.first && this.pushes[at - 1]!.seq > push.seq) at--
    for (let same = at; same > this.first && this.pushes[same - 1]!.seq === push.seq; same--) {
      if (this.pushes[same - 1]!.route === push.route) return true
    }
    this.pushes.splice(at, 0, push)
    this.bytes += push.value.length
    return true
  }

  /** How far everything of its route before this push reaches: the highest seq held below it, or `delivered`. */
  before({ route, seq }: Push, delivered: Cursor): Cursor {
    let at = this.pushes.length
    while (at > this.first && (this.pushes[at - 1]!.seq >= seq || this.pushes[at - 1]!.route !== route)) at--
    const before = at > this.first ? this.pushes[at - 1]!.seq : delivered
    return before > delivered ? before : delivered
  }

  /** The lowest push of the route above `delivered`; those of any route at or below are repeats by now and go. */
  next(delivered: Cursor, route: RouteId | undefined): Push | undefined {
    while (this.results > 0 && this.pushes[this.first]!.seq <= delivered) this.removeAt(this.first)
    for (let at = this.first; at < this.pushes.length; at++) {
      if (this.pushes[at]!.route === route) return this.pushes[at]
    }
    return undefined
  }

  /** Removes what `next` gave. */
  remove(push: Push): void {
    this.removeAt(this.pushes.indexOf(push, this.first))
  }

  /** Nearly always the first of them. */
  private removeAt(at: number): void {
    this.bytes -= this.pushes[at]!.value.length
    if (at > this.first) this.pushes.splice(at, 1)
    else this.first++
    if (this.first === this.pushes.length || this.first >= 256) {
      this.pushes = this.pushes.slice(this.first)
      this.first = 0
    }
  }
}
