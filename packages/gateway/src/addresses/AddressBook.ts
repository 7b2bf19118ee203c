/**
 * What one address may ask of a gateway: connections at once, openings in a time, and failed requests in a time. Behind
 * one address there may be one client or some thousand, so the bounds are wide, and an address that is refused is
 * served again as soon as it keeps to them.
 *
 * 1. What is refused is not counted as opened. A failure is counted whenever there is one, up to the bound: an address
 *    that fails on and on is served again once it has been quiet for as long as its last failures were too many.
 * 2. Openings and failures: the generic cell rate algorithm (ITU-T I.371), so many in a row and then one in so much
 *    time. An address that has done nothing for a while is as one that was never there, and is forgotten.
 * 3. Connections are remembered as long as they are open, so there are no more of them than there are connections.
 *    Openings and failures of at most `addresses` are, and of more the ones that have changed least lately are
 *    forgotten.
 */
import { Generations } from "../Generations.ts"
import type { AddressLimits } from "../Limits.ts"

export type AddressRefusal = "TOO_MANY_CONNECTIONS" | "TOO_MANY_OPENINGS" | "TOO_MANY_FAILURES"

/** Why not now, and when it may be tried again. */
export interface TooMany {
  readonly code: AddressRefusal
  readonly retry_ms: number
}

export class AddressBook {
  private readonly limits: AddressLimits
  private readonly connections = new Map<string, number>()
  private readonly openings: Rates
  private readonly failures: Rates

  constructor(limits: AddressLimits) {
    this.limits = limits
    const { addresses } = limits
    this.openings = new Rates(limits.openings_in_a_row, limits.openings_per_second, addresses)
    this.failures = new Rates(limits.failures_in_a_row, limits.failures_per_second, addresses)
  }

  /** Addresses that are remembered. */
  get size(): number {
    return new Set([...this.connections.keys(), ...this.openings.keys(), ...this.failures.keys()]).size
  }

  /** Whether it may ask anything. */
  ask(address: string, now_ms: number): TooMany | undefined {
    const retry_ms = this.failures.wait_ms(address, now_ms)
    return retry_ms === 0 ? undefined : { code: "TOO_MANY_FAILURES", retry_ms }
  }

  /** It opens something. */
  open(address: string, now_ms: number): TooMany | undefined {
    const retry_ms = this.openings.wait_ms(address, now_ms)
    if (retry_ms > 0) return { code: "TOO_MANY_OPENINGS", retry_ms }
    this.openings.add(address, now_ms)
    return undefined
  }

  /** It opens a connection; `close` follows, unless it may not. */
  connect(address: string, now_ms: number): TooMany | undefined {
    const open = this.connections.get(address) ?? 0
    if (open >= this.limits.connections)
      return { code: "TOO_MANY_CONNECTIONS", retry_ms: this.limits.connections_retry_ms }
    const refusal = this.open(address, now_ms)
    if (refusal === undefined) this.connections.set(address, open + 1)
    return refusal
  }

  close(address: string): void {
    const open = this.connections.get(address) ?? 0
    if (open > 1) this.connections.set(address, open - 1)
    else this.connections.delete(address)
  }

  /** What it asked was answered with a failure that is its own. */
  fail(address: string, now_ms: number): void {
    this.failures.add(address, now_ms)
  }
}

/**
 * So many in a row and so many per second, by address: for each when its next is due, if it were to keep the pace
 * exactly.
 */
class Rates {
  private readonly every_ms: number
  private readonly tolerance_ms: number
  /** What has not changed for so long means nothing any more. */
  private readonly forget_ms: number
  private readonly due: Generations<number>
  /** When what was not changed since the time before was forgotten. */
  private turned_ms = 0

  constructor(in_a_row: number, per_second: number, most: number) {
    this.every_ms = 1000 / per_second
    this.tolerance_ms = this.every_ms * (in_a_row - 1)
    this.forget_ms = this.tolerance_ms + 3 * this.every_ms
    this.due = new Generations(most)
  }

  keys(): Iterable<string> {
    return this.due.keys()
  }

  /** 0: another is within the bounds. */
  wait_ms(address: string, now_ms: number): number {
    return Math.max(0, Math.ceil(this.dueOf(address, now_ms) - now_ms - this.tolerance_ms))
  }

  /** Beyond the bounds, no more than one is counted. */
  add(address: string, now_ms: number): void {
    const due_ms = Math.min(this.dueOf(address, now_ms), now_ms + this.tolerance_ms + this.every_ms)
    this.forget(now_ms)
    this.due.set(address, due_ms + this.every_ms)
  }

  /** What lies further ahead was written under a clock that has gone back since. */
  private dueOf(address: string, now_ms: number): number {
    return Math.min(Math.max(now_ms, this.due.get(address) ?? now_ms), now_ms + this.tolerance_ms + 2 * this.every_ms)
  }

  private forget(now_ms: number): void {
    const since_ms = Math.abs(now_ms - this.turned_ms)
    if (since_ms < this.forget_ms) return
    this.turned_ms = now_ms
    this.due.turn()
    if (since_ms >= 2 * this.forget_ms) this.due.turn()
  }
}
