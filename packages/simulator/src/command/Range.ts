/** Many seeds, on several threads, one run at a time each. */
import { Worker, type WorkerOptions } from "node:worker_threads"
import type { RunOptions } from "../simulation/index.ts"
import type { Answer } from "./Worker.ts"

export interface RangeOptions {
  /** The seeds, one after the other; may be endless. */
  readonly runs: Iterator<RunOptions>
  readonly threads: number
  /** How its threads are started. */
  readonly worker?: WorkerOptions
  /** Called for each run; `false` stops the range. */
  readonly onAnswer: (answer: Answer) => boolean
}

/** Done when all runs are, or `onAnswer` has stopped it. */
export const runRange = async ({ threads, ...options }: RangeOptions): Promise<void> => {
  await Promise.all(Array.from({ length: threads }, () => thread(options)))
}

const thread = ({ onAnswer, runs, worker: how }: Omit<RangeOptions, "threads">): Promise<void> => {
  const { promise, reject, resolve } = Promise.withResolvers<void>()
  const worker = new Worker(new URL("./Worker.ts", import.meta.url), how)
  const goOn = (): void => {
    const next = runs.next()
    if (next.done === true) resolve()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- threads have no origin
    else worker.postMessage(next.value)
  }
  worker.on("message", (answer: Answer) => (onAnswer(answer) ? goOn() : resolve()))
  worker.on("error", reject)
  goOn()
  return promise.finally(() => worker.terminate())
}

export function* seeds(from: number, count: number, options: Omit<RunOptions, "seed">): Generator<RunOptions> {
  for (let seed = from; seed < from + count; seed++) yield { ...options, seed }
}

/** What came of a range so far. */
export class Tally {
  readonly counts = new Map<string, number>()
  readonly failures: Array<Answer> = []
  runs = 0
  slowest_ms = 0
  settled_ms = 0
  virtual_ms = 0

  add(answer: Answer): void {
    this.runs++
    if (answer.failure !== undefined) this.failures.push(answer)
    this.slowest_ms = Math.max(this.slowest_ms, answer.settled_ms)
    this.settled_ms += answer.settled_ms
    this.virtual_ms += answer.lasted_ms
    for (const [name, n] of answer.counts) this.counts.set(name, (this.counts.get(name) ?? 0) + n)
  }
}
