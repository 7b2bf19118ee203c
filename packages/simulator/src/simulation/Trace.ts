/**
 * What happened in a run: lines, written only where somebody wants to read them, and counts, always.
 *
 * A line is the time since the start, who, and what. Nothing that differs from run to run (object ids, real time,
 * stack traces) goes in, so that the same seed gives the same bytes.
 */
import type { Kernel } from "./Kernel.ts"
import type { Observer } from "./Observer.ts"

/** Lines kept. Beyond: the oldest half goes. */
const max_lines = 200_000

export class Trace {
  readonly counts = new Map<string, number>()
  readonly isWritten: boolean
  /** Where the run is held against the specification: told what happens, by whoever sees it. */
  observer: Observer | undefined = undefined
  private readonly kernel: Kernel
  private kept: Array<string> = []

  constructor(kernel: Kernel, isWritten: boolean) {
    this.kernel = kernel
    this.isWritten = isWritten
  }

  get lines(): ReadonlyArray<string> {
    return this.kept
  }

  say(who: string, what: () => string): void {
    if (!this.isWritten) return
    if (this.kept.length >= max_lines) this.kept = this.kept.slice(max_lines / 2)
    this.kept.push(`${(this.kernel.elapsed_ms / 1000).toFixed(3).padStart(9)}  ${who.padEnd(15)} ${what()}`)
  }

  count(name: string, n = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + n)
  }
}
