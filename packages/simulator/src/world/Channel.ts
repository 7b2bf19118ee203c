/** Messages under way: each may be taken at any time, in any order, or be lost. */
export class Channel<M> {
  private readonly waiting: Array<M> = []

  get size(): number {
    return this.waiting.length
  }

  send(message: M): void {
    this.waiting.push(message)
  }

  /** Takes the message at `at`, 0 being the oldest. To lose a message is to take it and do nothing. */
  take(at = 0): M | undefined {
    return this.waiting.splice(at, 1)[0]
  }

  /** A message comes once more. */
  repeat(at: number): M | undefined {
    const message = this.waiting[at]
    if (message !== undefined) this.send(message)
    return message
  }

  clear(): void {
    this.waiting.length = 0
  }
}
