/**
 * How the handlers of a partition are shared among subjects: one may have `subject_share` times as many as are free then.
 * So somebody else always finds one that is free, however many ask, and what nobody else wants the others have: with a
 * share of 3, one subject alone has three quarters, two have three sevenths each ("dynamic thresholds", Choudhury and
 * Hahne, 1998).
 *
 * A handler in so much time is so much handler time: what is bounded is how much of it a subject has at once.
 *
 * Deterministic; no I/O, clock or randomness.
 */
export class SubjectShares {
  readonly #share: number
  readonly #taken = new Map<string, number>()

  constructor(share: number) {
    this.#share = share
  }

  /** How many it has. */
  takenBy(subject: string): number {
    return this.#taken.get(subject) ?? 0
  }

  /** Whether it may have one more while so many are free. Nobody has shown who `undefined` is: it has no share. */
  has(subject: string | undefined, free: number): boolean {
    return subject === undefined || this.takenBy(subject) < this.#share * free
  }

  take(subject: string | undefined): void {
    if (subject !== undefined) this.#taken.set(subject, this.takenBy(subject) + 1)
  }

  free(subject: string | undefined): void {
    if (subject === undefined) return
    const left = this.takenBy(subject) - 1
    if (left > 0) this.#taken.set(subject, left)
    else this.#taken.delete(subject)
  }
}
