/**
 * Virtual time, and everything that runs in it: tasks that are ready, in the order in which they became so, and timers.
 * When no task is left time jumps to the next timer. Nothing here waits, so a run is one synchronous call, and the same
 * calls in the same order are the same run.
 */
import { Violation } from "./Violation.ts"

/** Something that happens at a moment; `cancel` takes it back. */
export interface Timer {
  cancel(): void
}

interface Entry {
  readonly at_ms: number
  /** Timers of one moment run in the order in which they were set. */
  readonly order: number
  run: (() => void) | undefined
}

/** 2027-01-15T08:00:00Z: a clock that starts at 0 would hide that epochs are taken from it. */
export const start_ms = 1_800_000_000_000

/** Tasks within one moment. Beyond: something runs in circles without waiting. */
const max_tasks_at_once = 1_000_000

export class Kernel {
  now_ms = start_ms
  private timers: Array<Entry> = []
  private order = 0
  private tasks: Array<() => void> = []
  private tasksNow = 0

  /** Since the start of the run. */
  get elapsed_ms(): number {
    return this.now_ms - start_ms
  }

  /** Timers that wait, those taken back included. */
  get waiting(): number {
    return this.timers.length
  }

  /** Runs as soon as what became ready before it has run. */
  soon(task: () => void): void {
    this.tasks.push(task)
  }

  after(delay_ms: number, run: () => void): Timer {
    const entry: Entry = { at_ms: this.now_ms + Math.max(0, delay_ms), order: this.order++, run }
    this.push(entry)
    return {
      cancel: () => {
        entry.run = undefined
      },
    }
  }

  /** Runs everything up to and at a moment, or until `until` holds, which is asked at each new moment. */
  run(to_ms: number, until: () => boolean = () => false): void {
    for (;;) {
      this.drain()
      if (until()) return
      const next = this.timers[0]
      if (next === undefined || next.at_ms > to_ms) break
      this.now_ms = Math.max(this.now_ms, next.at_ms)
      this.tasksNow = 0
      this.fire(next.at_ms)
    }
    this.now_ms = Math.max(this.now_ms, to_ms)
  }

  private fire(at_ms: number): void {
    while (this.timers[0] !== undefined && this.timers[0].at_ms <= at_ms) {
      this.pop().run?.()
      this.drain()
    }
  }

  private drain(): void {
    while (this.tasks.length > 0) {
      const batch = this.tasks
      this.tasks = []
      this.tasksNow += batch.length
      if (this.tasksNow > max_tasks_at_once) throw new Violation("time goes on", "tasks follow tasks without a wait")
      for (const task of batch) task()
    }
  }

  // A binary heap by moment and order.

  private push(entry: Entry): void {
    const heap = this.timers
    let at = heap.length
    heap.push(entry)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, entry)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  private pop(): Entry {
    const heap = this.timers
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

const isBefore = (a: Entry, b: Entry): boolean => a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order)
