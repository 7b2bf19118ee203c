/** Decisions from one number: the same number, the same decisions. */
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

  /** From 0 up to and without `n`. */
  below(n: number): number {
    return this.next() % n
  }

  /** From 1 up to and with `n`. */
  upTo(n: number): number {
    return 1 + this.below(n)
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  pick<A>(from: ReadonlyArray<A>): A | undefined {
    return from.length === 0 ? undefined : from[this.below(from.length)]
  }
}

/** `count` numbers from a seed, each good for a `Dice` of its own. */
export const numbers = (seed: number, count: number): ReadonlyArray<number> => {
  const dice = new Dice(seed)
  return Array.from({ length: count }, () => dice.next())
}
