/**
 * Writes to an HTTP/2 stream in steps, so that it is known soon how much of it flow control has let through: Node tells
 * of a write, and of all that queued up behind it meanwhile, only once the last byte is through.
 *
 * What waits here is bounded by who writes: the session stops while `waiting_bytes` is too much.
 */
import type { ServerHttp2Stream } from "node:http2"

export class StepWriter {
  private readonly stream: ServerHttp2Stream
  private readonly step_bytes: number
  private readonly sent: (bytes: number) => void
  private queue: Array<Buffer> = []
  private queued_bytes = 0
  /** In the step under way. */
  private step = 0

  /** `sent`: so many bytes more are through, in order. */
  constructor(stream: ServerHttp2Stream, step_bytes: number, sent: (bytes: number) => void) {
    this.stream = stream
    this.step_bytes = step_bytes
    this.sent = sent
  }

  /** Written and not let through yet. */
  get waiting_bytes(): number {
    return this.queued_bytes + this.step
  }

  write(bytes: Buffer): void {
    this.queue.push(bytes)
    this.queued_bytes += bytes.length
    if (this.step === 0) this.next(this.step_bytes)
  }

  /** Hands on all that waits: the stream is to be ended behind it. */
  flush(): void {
    if (this.queued_bytes > 0) this.next(this.queued_bytes)
  }

  private next(at_most: number): void {
    const parts = this.take(at_most)
    const bytes = parts.reduce((sum, { length }) => sum + length, 0)
    this.step += bytes
    this.stream.cork()
    for (const part of parts.slice(0, -1)) this.stream.write(part)
    this.stream.write(parts.at(-1), (error) => {
      // A stream that has gone reports here too, and "close" follows.
      if (error !== null && error !== undefined) return
      this.step -= bytes
      this.sent(bytes)
      if (this.step === 0 && this.queued_bytes > 0) this.next(this.step_bytes)
    })
    this.stream.uncork()
  }

  /** The first bytes of the queue. */
  private take(at_most: number): ReadonlyArray<Buffer> {
    const parts: Array<Buffer> = []
    let [room, whole] = [at_most, 0]
    for (; whole < this.queue.length && this.queue[whole]!.length <= room; whole++) {
      parts.push(this.queue[whole]!)
      room -= this.queue[whole]!.length
    }
    const cut = this.queue[whole]
    if (cut !== undefined && room > 0) {
      parts.push(cut.subarray(0, room))
      this.queue[whole] = cut.subarray(room)
      room = 0
    }
    this.queue = this.queue.slice(whole)
    this.queued_bytes -= at_most - room
    return parts
  }
}
