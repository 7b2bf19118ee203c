/** Makes decisions from a seed: the same seed leads to the same decisions. */
export class Dice {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** 32 random bits (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }

  /** A number from 0 to `n - 1`. */
  below(n: number): number {
    return this.next() % n
  }

  /** A number from 1 to `n`. */
  upTo(n: number): number {
    return 1 + this.below(n)
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  /** One of these, or `undefined` if there are none. */
  pick<A>(from: ReadonlyArray<A>): A | undefined {
    return from.length === 0 ? undefined : from[this.below(from.length)]
  }

  /** One of these. Throws if there are none. */
  oneOf<A>(from: ReadonlyArray<A>): A {
    const picked = this.pick(from)
    if (picked === undefined) throw new RangeError("nothing to pick from")
    return picked
  }

  shuffle<A>(all: ReadonlyArray<A>): ReadonlyArray<A> {
    const rest = [...all]
    return all.flatMap(() => rest.splice(this.below(rest.length), 1))
  }
}

/** `count` numbers from a seed, each of which can be the seed of another `Dice`. */
export const numbers = (seed: number, count: number): ReadonlyArray<number> => {
  const dice = new Dice(seed)
  return Array.from({ length: count }, () => dice.next())
}
