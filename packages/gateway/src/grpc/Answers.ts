/** Which of the bytes on a stream are answers, and when each of them is let through: results stand between them. */
export class Answers {
  private readonly letThrough: (bytes: number) => void
  private written_bytes = 0
  private sent_bytes = 0
  private readonly waiting: Array<{ readonly end: number; readonly bytes: number }> = []

  /** `letThrough`: an answer of so many bytes is. */
  constructor(letThrough: (bytes: number) => void) {
    this.letThrough = letThrough
  }

  write(bytes: number, isAnswer: boolean): void {
    this.written_bytes += bytes
    if (isAnswer) this.waiting.push({ end: this.written_bytes, bytes })
  }

  /** So many bytes more are through, in order. */
  sent(bytes: number): void {
    this.sent_bytes += bytes
    const next = this.waiting.findIndex(({ end }) => end > this.sent_bytes)
    for (const answer of this.waiting.splice(0, next === -1 ? this.waiting.length : next)) this.letThrough(answer.bytes)
  }
}
