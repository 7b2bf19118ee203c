/**
 * The sessions that stand on what their clients have shown, and when that ends.
 *
 * ```
 *   hold ──▶ ─────────── live ───────────▶ expiring (a minute before) ──▶ ended: TOKEN_EXPIRED
 *               ▲                │
 *               └──── renew ─────┘        a revocation, or a removed key ──▶ ended: TOKEN_REVOKED
 * ```
 *
 * Sessions are looked at by the second in which something is due, so that a look costs what is due and no more. Decisions
 * alone: the clock and the calls of it are `Access`'.
 */
import { isRevokedBy, type Principal } from "@nimbus/domain/access"
import { closeCodes, type CloseReason } from "@nimbus/domain/protocol"
import type { Revocation } from "@nimbus/domain/services"

/** A session, as it is told. Neither of these may throw. */
export interface Held {
  /** What it has shown ends at this second, soon. */
  expiring(expires_s: number): void
  ended(reason: CloseReason): void
}

/** How long before its end a session is told. */
export const notice_s = 60

export interface Lease {
  /** Who it is now. */
  readonly principal: Principal
  /** It goes on with this one, which is the same subject. */
  renew(principal: Principal): void
  /** False: it was released before, or has ended. */
  release(): boolean
}

interface Entry {
  readonly held: Held
  principal: Principal
  /** The second in which it is looked at. */
  due_s: number | undefined
}

export class Leases {
  readonly #all = new Set<Entry>()
  readonly #bySecond = new Map<number, Set<Entry>>()
  #looked_s = Number.NEGATIVE_INFINITY

  hold(principal: Principal, held: Held): Lease {
    const entry: Entry = { held, principal, due_s: undefined }
    this.#all.add(entry)
    this.#planNotice(entry)
    return {
      get principal() {
        return entry.principal
      },
      renew: (next) => {
        if (!this.#all.has(entry)) return
        entry.principal = next
        this.#planNotice(entry)
      },
      release: () => this.#drop(entry),
    }
  }

  get size(): number {
    return this.#all.size
  }

  /** Seconds in which something is due: no more than there are sessions, however long their tokens last. */
  get seconds(): number {
    return this.#bySecond.size
  }

  /** Called about once a second. What is due by now is told, or ends. */
  tick(now_s: number): void {
    const from_s = this.#looked_s === Number.NEGATIVE_INFINITY ? undefined : this.#looked_s + 1
    this.#looked_s = now_s
    for (const second of this.#dueSeconds(from_s, now_s)) {
      const entries = this.#bySecond.get(second)
      if (entries === undefined) continue
      this.#bySecond.delete(second)
      for (const entry of entries) this.#look(entry, now_s)
    }
  }

  /** Ends those that this order is about. */
  revoke(revocation: Revocation): void {
    for (const entry of this.#all) if (isRevokedBy(revocation, entry.principal)) this.#end(entry, closeCodes.revoked)
  }

  /** Ends those whose key is not known any more. */
  check(isKnown: (principal: Principal) => boolean): void {
    for (const entry of this.#all) if (!isKnown(entry.principal)) this.#end(entry, closeCodes.revoked)
  }

  /** A clock that jumps, or stood still, may make more seconds than there are entries. */
  #dueSeconds(from_s: number | undefined, now_s: number): ReadonlyArray<number> {
    if (from_s === undefined || now_s - from_s > this.#bySecond.size) {
      return [...this.#bySecond.keys()].filter((second) => second <= now_s).toSorted((a, b) => a - b)
    }
    return Array.from({ length: Math.max(0, now_s - from_s + 1) }, (_, i) => from_s + i)
  }

  #look(entry: Entry, now_s: number): void {
    entry.due_s = undefined
    const { expires_s } = entry.principal
    if (expires_s === undefined || !this.#all.has(entry)) return
    if (now_s >= expires_s) return this.#end(entry, closeCodes.tokenExpired)
    this.#plan(entry, expires_s)
    entry.held.expiring(expires_s)
  }

  #planNotice(entry: Entry): void {
    const { expires_s } = entry.principal
    this.#plan(entry, expires_s === undefined ? undefined : expires_s - notice_s)
  }

  #plan(entry: Entry, due_s: number | undefined): void {
    if (entry.due_s !== undefined) this.#leave(entry, entry.due_s)
    // What is due already is looked at next.
    entry.due_s = due_s === undefined ? undefined : Math.max(Math.ceil(due_s), this.#looked_s + 1)
    if (entry.due_s === undefined) return
    const entries = this.#bySecond.get(entry.due_s)
    if (entries === undefined) this.#bySecond.set(entry.due_s, new Set([entry]))
    else entries.add(entry)
  }

  #leave(entry: Entry, due_s: number): void {
    const entries = this.#bySecond.get(due_s)
    if (entries?.delete(entry) === true && entries.size === 0) this.#bySecond.delete(due_s)
  }

  #end(entry: Entry, reason: CloseReason): void {
    this.#drop(entry)
    entry.held.ended(reason)
  }

  #drop(entry: Entry): boolean {
    this.#plan(entry, undefined)
    return this.#all.delete(entry)
  }
}
