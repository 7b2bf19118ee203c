/**
 * The slots of a process: how many may run at once, in all and of one name, over all partitions that share them.
 *
 * Whoever waits for a slot takes a number (`turn`), which grows over all partitions. A slot that is free goes to the one
 * that has waited longest, in whichever partition: `tell` asks them in that order.
 *
 * Deterministic; no I/O, clock or randomness.
 */

/** A partition of which something may wait for a slot. */
export interface SlotWaiter {
  /** The number of the one that has waited longest for a slot of this name; `undefined`: none waits. */
  waitsSince(name: string): number | undefined
  /** Starts what may start. */
  pump(): void
}

/** How many run, and how many may. */
export class Slots {
  readonly #at_once: number
  readonly #ofName: (name: string) => number
  readonly #taken = new Map<string, number>()
  readonly #waiters = new Set<SlotWaiter>()
  #all = 0
  #turns = 0

  /** `ofName`: how many of one name may run at once. */
  constructor(at_once: number, ofName: (name: string) => number) {
    this.#at_once = at_once
    this.#ofName = ofName
  }

  get taken(): number {
    return this.#all
  }

  /** Of one name. */
  takenBy(name: string): number {
    return this.#taken.get(name) ?? 0
  }

  has(name: string): boolean {
    return this.#all < this.#at_once && this.takenBy(name) < this.#ofName(name)
  }

  take(name: string): void {
    this.#all++
    this.#taken.set(name, this.takenBy(name) + 1)
  }

  /** `tell` follows, once the one that had it is done. */
  free(name: string): void {
    this.#all--
    this.#taken.set(name, this.takenBy(name) - 1)
  }

  /** The next number of one that waits. */
  turn(): number {
    return ++this.#turns
  }

  join(waiter: SlotWaiter): void {
    this.#waiters.add(waiter)
  }

  leave(waiter: SlotWaiter): void {
    this.#waiters.delete(waiter)
  }

  /** A slot of this name is free: those that wait for one are asked, the one that has waited longest first. */
  tell(name: string): void {
    const waiting: Array<{ readonly waiter: SlotWaiter; readonly since: number }> = []
    for (const waiter of this.#waiters) {
      const since = waiter.waitsSince(name)
      if (since !== undefined) waiting.push({ waiter, since })
    }
    waiting.sort((a, b) => a.since - b.since)
    for (const { waiter } of waiting) {
      if (!this.has(name)) return
      waiter.pump()
    }
  }
}
