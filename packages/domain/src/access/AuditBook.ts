/**
 * Entries of the audit on their way to the log: repeats are joined, and what waits is bounded.
 *
 * ```
 *   take ─▶ first of its kind ────────────────────────────▶ waits ─▶ taken by who writes
 *             └─ a repeat, within `audit_join_ms`: counted ─▶ one entry with their number
 * ```
 *
 * 1. The first entry of a kind waits for nobody: it is written at once.
 * 2. All repeats of one span are one entry, at its end. Entries are repeats if all that they say is the same.
 * 3. Beyond `audit_waiting` the oldest that wait are dropped, and counted; and of kinds with repeats the oldest is closed.
 * 4. No text is longer than `audit_chars`, none has control characters, and what looks like a token is none any more.
 */
import { Schema } from "effect"
import type { AuditLimits } from "../Limits.ts"

const Text = Schema.String

/** An entry as the log has it. */
export const StoredAuditEntry = Schema.Struct({
  /** ms since 1970. Of several, the last. */
  time: Schema.Int,
  action: Schema.Literals(["login", "refused", "admin", "publish", "revoke"]),
  outcome: Text,
  issuer: Schema.optionalKey(Text),
  subject: Schema.optionalKey(Text),
  clientId: Schema.optionalKey(Text),
  address: Schema.optionalKey(Text),
  transport: Text,
  detail: Schema.optionalKey(Text),
  /** Several of the same, the first of them then. */
  repeats: Schema.optionalKey(Schema.Struct({ count: Schema.Int, since: Schema.Int })),
})
export type StoredAuditEntry = typeof StoredAuditEntry.Type

/** What was done, and by whom. */
export interface AuditEntry {
  readonly action: StoredAuditEntry["action"]
  /** `OK`, or the code of what refused it. */
  readonly outcome: string
  /** As the token has it; `undefined`: nobody has shown who it is. */
  readonly issuer: string | undefined
  readonly subject: string | undefined
  readonly clientId?: string | undefined
  /** The address that asked, as far as it is known. */
  readonly address: string | undefined
  readonly transport: string
  /** What was asked for: a capability, an operation with its target. */
  readonly detail?: string | undefined
}

/** Of one kind, since its first entry. */
interface Kind {
  readonly entry: StoredAuditEntry
  count: number
  since: number
  last: number
}

/** What is to be written down, with repeats joined. */
export class AuditBook {
  readonly #limits: AuditLimits
  /** By what their entries say; those whose span began first come first. */
  readonly #kinds = new Map<string, Kind>()
  #waiting: Array<StoredAuditEntry> = []
  #dropped = 0

  constructor(limits: AuditLimits) {
    this.#limits = limits
  }

  get size(): { readonly kinds: number; readonly waiting: number } {
    return { kinds: this.#kinds.size, waiting: this.#waiting.length }
  }

  take(entry: AuditEntry, now_ms: number): void {
    this.close(now_ms)
    const stored = this.#cleaned(entry, now_ms)
    const name = JSON.stringify({ ...stored, time: 0 })
    const known = this.#kinds.get(name)
    if (known === undefined) {
      if (this.#kinds.size >= this.#limits.audit_waiting) this.#closeOldest()
      this.#kinds.set(name, { entry: stored, count: 0, since: 0, last: now_ms })
      return this.#wait(stored)
    }
    if (known.count++ === 0) known.since = now_ms
    known.last = now_ms
  }

  /** Ends the spans that are over by now: an entry for those that had repeats. */
  close(now_ms: number): void {
    for (const { entry } of this.#kinds.values()) {
      if (now_ms - entry.time < this.#limits.audit_join_ms) return
      this.#closeOldest()
    }
  }

  /** What waits, and how many were dropped before it. It waits no more. */
  drain(): { readonly entries: ReadonlyArray<StoredAuditEntry>; readonly dropped: number } {
    const [entries, dropped] = [this.#waiting, this.#dropped]
    this.#waiting = []
    this.#dropped = 0
    return { entries, dropped }
  }

  /** What could not be written waits again, before all others. */
  putBack(entries: ReadonlyArray<StoredAuditEntry>): void {
    this.#waiting = [...entries, ...this.#waiting]
    this.#bound()
  }

  #closeOldest(): void {
    for (const [name, { count, entry, last, since }] of this.#kinds) {
      this.#kinds.delete(name)
      if (count > 0) this.#wait({ ...entry, time: last, repeats: { count, since } })
      return
    }
  }

  #wait(entry: StoredAuditEntry): void {
    this.#waiting.push(entry)
    this.#bound()
  }

  #bound(): void {
    // Not one by one: to shift a long array costs its length.
    if (this.#waiting.length <= this.#limits.audit_waiting) return
    const beyond = Math.max(
      this.#waiting.length - this.#limits.audit_waiting,
      Math.floor(this.#limits.audit_waiting / 16),
    )
    this.#waiting = this.#waiting.slice(beyond)
    this.#dropped += beyond
  }

  #cleaned(entry: AuditEntry, time: number): StoredAuditEntry {
    const text = (value: string) => cleaned(value, this.#limits.audit_chars)
    const some = <Name extends string>(name: Name, value: string | undefined) =>
      value === undefined ? undefined : { [name]: text(value) }
    return {
      time,
      action: entry.action,
      outcome: text(entry.outcome),
      ...some("issuer", entry.issuer),
      ...some("subject", entry.subject),
      ...some("clientId", entry.clientId),
      ...some("address", entry.address),
      transport: text(entry.transport),
      ...some("detail", entry.detail),
    }
  }
}

/** Invariant 4. */
const cleaned = (text: string, chars: number): string => {
  const cut = text.length > chars ? `${text.slice(0, chars)}…` : text
  return isPlain.test(cut) ? cut : cut.replaceAll(control, " ").replaceAll(token, "(a token)")
}

/** Most texts are: they have neither control characters nor what a token begins with. */
const isPlain = /^(?!.*eyJ)[ -~]*$/
const control = /[\p{Cc}\p{Cf}\u2028\u2029]/gu
/** Whether it looks like a token, or has one in it. */
export const hasToken = (text: string): boolean => text.search(token) >= 0

/** Three parts in base64url, of which the first is a JSON object; the last may be cut. */
const token = /eyJ[\w-]+\.[\w-]+(\.[\w-]*)?/g
