/** Decisions from one number: the same number, the same decisions. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** From 0 up to and without `n` (mulberry32). */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }

  pick<A>(from: ReadonlyArray<A>): A {
    const picked = from[this.below(from.length)]
    if (picked === undefined) throw new RangeError("nothing to pick from")
    return picked
  }

  shuffle<A>(all: ReadonlyArray<A>): ReadonlyArray<A> {
    const rest = [...all]
    return all.flatMap(() => rest.splice(this.below(rest.length), 1))
  }
}
