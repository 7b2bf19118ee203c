/** One partition as the engine knows it, and who waits for it to change. */
import { LogUnavailable } from "../../Errors.ts"
import type { Block } from "./Block.ts"
import { Fifo } from "./Fifo.ts"

export class Partition {
  readonly topic: string
  readonly partition: number
  earliest: number
  /** Of what readers may see. */
  end: number
  /** The newest blocks, up to the end. */
  readonly tail = new Fifo<Block>()
  readonly #waiting = new Set<() => void>()

  constructor(topic: string, partition: number, bounds: { readonly earliest: number; readonly end: number }) {
    this.topic = topic
    this.partition = partition
    this.earliest = bounds.earliest
    this.end = bounds.end
  }

  /** Calls `wake` at the next `wakeAll`, once. Returns how to give up. */
  onWake(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => void this.#waiting.delete(wake)
  }

  wakeAll(): void {
    // A copy: who is woken may run at once, and wait again.
    const woken = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const wake of woken) wake()
  }
}

export const unavailable = ({ topic }: { readonly topic: string }, operation: string, cause: unknown): LogUnavailable =>
  new LogUnavailable({ topic, operation, cause })

export const closed = (partition: { readonly topic: string }, operation: string): LogUnavailable =>
  unavailable(partition, operation, new Error("the log is closed"))
