/**
 * What an honest client keeps of the numbers it sends, 1, 2, 3, …: when each was sent, and when its result was shown. A
 * window is what is sent between two points in time, so a result that comes late counts where its event was sent.
 */
import { quantile } from "../Load.ts"

export class Tally {
  /** Of number 1, 2, 3, …. */
  readonly #sent_ms: Array<number> = []
  readonly #took_ms: Array<number | undefined> = []
  /** The window is behind the first number and up to the last. */
  #from = 0
  #upTo = 0
  /** All up to here were shown. */
  #shownUpTo = 0
  #highest = 0
  /** Shown twice, or never sent. */
  repeated = 0
  /** Shown behind a later one. */
  disordered = 0
  refused = 0

  /** The next number. */
  send(now_ms: number): number {
    this.#took_ms.push(undefined)
    return this.#sent_ms.push(now_ms)
  }

  show(number: unknown, now_ms: number): void {
    const at = typeof number === "number" ? number - 1 : -1
    const sent_ms = this.#sent_ms[at]
    if (sent_ms === undefined || this.#took_ms[at] !== undefined) return void this.repeated++
    this.#took_ms[at] = now_ms - sent_ms
    if (at < this.#highest) this.disordered++
    this.#highest = Math.max(this.#highest, at)
    while (this.#took_ms[this.#shownUpTo] !== undefined) this.#shownUpTo++
  }

  openWindow(): void {
    this.#from = this.#sent_ms.length
    this.#upTo = Infinity
  }

  closeWindow(): void {
    this.#upTo = this.#sent_ms.length
  }

  /** Whether all was shown that was sent before the window was closed. */
  get isSettled(): boolean {
    return this.#shownUpTo >= this.#upTo
  }

  window() {
    const took = this.#took_ms.slice(this.#from, this.#upTo)
    const shown = took.filter((took_ms) => took_ms !== undefined)
    const at = (q: number) => (shown.length === 0 ? undefined : quantile(shown, q))
    return { sent: took.length, missing: took.length - shown.length, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1) }
  }
}
