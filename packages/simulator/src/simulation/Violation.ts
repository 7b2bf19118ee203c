/** A rule that did not hold in a run. */
export class Violation extends Error {
  /** Which one, in a few words that stay the same; failures of the same rule are the same failure. */
  readonly rule: string

  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`)
    this.rule = rule
  }
}
