/**
 * Work that strangers can ask for in heaps, such as sessions to be opened, a few pieces in each turn of the event loop.
 * One HTTP/2 connection may ask for a thousand calls in one go, and everybody else would wait behind all of them.
 *
 * What comes on top waits, in the order in which it came, and can be given up. What waits is bounded by the caller: by
 * the connections, and the calls on each.
 */

export class EventLoopTurns {
  readonly #per_turn: number
  /** Calls back in the next turn of the event loop. */
  readonly #soon: (act: () => void) => void
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>()
  #left: number
  #isDue = false

  constructor(per_turn: number, soon: (act: () => void) => void = setImmediate) {
    this.#per_turn = per_turn
    this.#soon = soon
    this.#left = per_turn
  }

  /** Calls `act` when it is its turn: now, if few have come. Returns how it is given up. */
  take(act: () => void): () => void {
    if (this.#left > 0 && this.#waiting.size === 0) {
      this.#begin(act)
      return () => {}
    }
    // A function that is asked for twice is two.
    const own = () => act()
    this.#waiting.add(own)
    return () => void this.#waiting.delete(own)
  }

  #begin(act: () => void): void {
    this.#left--
    if (!this.#isDue) {
      this.#isDue = true
      this.#soon(() => this.#turn())
    }
    act()
  }

  #turn(): void {
    this.#isDue = false
    this.#left = this.#per_turn
    for (const act of this.#waiting) {
      if (this.#left === 0) return
      this.#waiting.delete(act)
      this.#begin(act)
    }
  }
}
