/**
 * Orders by which tokens and subjects count no more, and what of them is in force.
 *
 * ```
 *   order ─▶ log ─▶ every gateway: `merge` ─▶ in force ─▶ `of(principal)`
 *             ▲                                  │ lies far back in the log, or the log's last word on it is older
 *             └────────── written again ─────────┘
 * ```
 *
 * 1. What is in force is the join of all that the log says. The order of arrival and repeats make no difference: of a
 *    token the later end counts, of a subject's tokens the later moment, of a block and its end the later one, and the
 *    block where they are of one moment.
 * 2. An order that says less than what is in force is not in force, and what is, is due to be written again after it: so
 *    a log that keeps only the last record of each key keeps what counts.
 * 3. What lies more than `revocation_rewrite_bytes` back in the log is due to be written again, so that the log may drop
 *    its beginning. All in force take up less than that.
 * 4. Forgotten is what can make no difference any more: of a token, once it has ended; of a subject's tokens, after
 *    `revocation_kept_s`; the end of a block, once no record of the block can be on its way.
 */
import { Schema } from "effect"
import type { RevocationLimits } from "../Limits.ts"
import { canonicalIssuer } from "./Issuers.ts"
import type { Principal } from "./Principal.ts"

/** An order. Times are in seconds since 1970. */
export type Revocation =
  /** One token. `expires_s`: when it ends by itself, so that the order may be forgotten. */
  | { readonly _tag: "Token"; readonly issuer: string; readonly tokenId: string; readonly expires_s: number }
  /** All tokens of a subject that were issued up to this moment. */
  | { readonly _tag: "Subject"; readonly issuer: string; readonly subject: string; readonly issued_s: number }
  /** A subject, until it is unblocked. */
  | { readonly _tag: "Block"; readonly issuer: string; readonly subject: string }
  | { readonly _tag: "Unblock"; readonly issuer: string; readonly subject: string }

const Seconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_640_000_000_000 }))
const at_ms = Schema.Int
const ofSubject = { issuer: Schema.String, subject: Schema.String }

const stored = {
  Token: Schema.TaggedStruct("Token", { issuer: Schema.String, tokenId: Schema.String, expires_s: Seconds, at_ms }),
  Subject: Schema.TaggedStruct("Subject", { ...ofSubject, issued_s: Seconds, at_ms }),
  Block: Schema.TaggedStruct("Block", { ...ofSubject, at_ms }),
  Unblock: Schema.TaggedStruct("Unblock", { ...ofSubject, at_ms }),
}

/** An order as the log has it. `at_ms`: when it was given, after all that its gateway knew of the same subject. */
export const StoredRevocation = Schema.Union([stored.Token, stored.Subject, stored.Block, stored.Unblock])
export type StoredRevocation = typeof StoredRevocation.Type

/** An order that is in force. */
export const RevocationInForce = Schema.Union([stored.Token, stored.Subject, stored.Block])
export type RevocationInForce = typeof RevocationInForce.Type

/** What an order is about: one key for all orders that replace one another. */
export const revocationKey = (revocation: Revocation): string =>
  revocation._tag === "Token"
    ? tokenKey(revocation.issuer, revocation.tokenId)
    : revocation._tag === "Subject"
      ? subjectKey(revocation)
      : blockKey(revocation)

const tokenKey = (issuer: string, tokenId: string): string =>
  JSON.stringify(["token", canonicalIssuer(issuer), tokenId])
const subjectKey = ({ issuer, subject }: Named): string => JSON.stringify(["subject", canonicalIssuer(issuer), subject])
const blockKey = ({ issuer, subject }: Named): string => JSON.stringify(["block", canonicalIssuer(issuer), subject])

/** Whether by this order alone that one counts no more. Cheap: it is asked of all sessions. */
export const isRevokedBy = (revocation: Revocation, principal: Principal): boolean => {
  switch (revocation._tag) {
    case "Token":
      return principal.tokenId === revocation.tokenId && isSameIssuer(revocation, principal)
    case "Subject":
      return (
        principal.subject === revocation.subject &&
        isUpTo(principal, revocation.issued_s) &&
        isSameIssuer(revocation, principal)
      )
    case "Block":
      return principal.subject === revocation.subject && isSameIssuer(revocation, principal)
    case "Unblock":
      return false
  }
}

const isSameIssuer = (one: Pick<Named, "issuer">, other: Pick<Named, "issuer">): boolean =>
  canonicalIssuer(one.issuer) === canonicalIssuer(other.issuer)

/** Of a token that does not say when it was issued, nobody can know better. */
const isUpTo = ({ issued_s }: Principal, moment_s: number): boolean => (issued_s ?? 0) <= moment_s

type Named = Pick<Principal, "issuer" | "subject">

interface Entry {
  readonly order: StoredRevocation
  /** What the order counts for, against bounds in bytes. */
  readonly bytes: number
  /** How far into the log it stands, as `#end_bytes` was then. */
  readonly at_bytes: number
}

/** Why an order can't be taken: there are as many in force as may be. */
export type NoRoom = "orders" | "bytes"

/** What is in force, and where it stands in the log. */
export class RevokedSet {
  readonly #limits: RevocationLimits
  /** By key. Those that stand further back in the log come first. */
  readonly #entries = new Map<string, Entry>()
  /** Keys of which the log's last word says less than what is in force. */
  readonly #understated = new Set<string>()
  #bytes = 0
  /** Of all orders that were merged. */
  #end_bytes = 0

  constructor(limits: RevocationLimits) {
    this.#limits = limits
  }

  get size(): { readonly orders: number; readonly order_bytes: number } {
    return { orders: this.#entries.size, order_bytes: this.#bytes }
  }

  /** The order by which this one counts no more. */
  of(principal: Principal): Revocation | undefined {
    if (this.#entries.size === 0) return undefined
    const { issuer, tokenId } = principal
    const token = tokenId === undefined ? undefined : this.#entries.get(tokenKey(issuer, tokenId))
    if (token !== undefined) return token.order
    const block = this.#entries.get(blockKey(principal))
    if (block?.order._tag === "Block") return block.order
    const tokens = this.#entries.get(subjectKey(principal))?.order
    return tokens?._tag === "Subject" && isUpTo(principal, tokens.issued_s) ? tokens : undefined
  }

  /** All in force. */
  list(): ReadonlyArray<RevocationInForce> {
    return Array.from(this.#entries.values(), ({ order }) => order).filter((order) => order._tag !== "Unblock")
  }

  /** The record of an order that is given now. `undefined`: it would change nothing. */
  decide(revocation: Revocation, now_ms: number): StoredRevocation | undefined {
    const known = this.#entries.get(revocationKey(revocation))?.order
    const at_ms = Math.max(now_ms, (known?.at_ms ?? 0) + 1)
    const order: StoredRevocation = { ...revocation, at_ms }
    if (isOver(order, now_ms, this.#limits)) return undefined
    if (known === undefined) return order._tag === "Unblock" ? undefined : order
    const isAboutTokens = order._tag === "Token" || order._tag === "Subject"
    return (isAboutTokens ? saysMore(order, known) : order._tag !== known._tag) ? order : undefined
  }

  /** Whether there is room for one more. What replaces another, and the end of a block, have it always. */
  noRoomFor(order: StoredRevocation): NoRoom | undefined {
    if (this.#entries.has(revocationKey(order))) return undefined
    if (this.#entries.size >= this.#limits.revocation_orders) return "orders"
    return this.#bytes + bytesOf(order) > this.#limits.revocation_bytes ? "bytes" : undefined
  }

  /** What the log has next, of which this process may have written it. True: it is news. */
  merge(order: StoredRevocation): boolean {
    const key = revocationKey(order)
    const known = this.#entries.get(key)
    const bytes = bytesOf(order)
    this.#end_bytes += bytes
    const isNews = known === undefined || saysMore(order, known.order)
    if (!isNews && saysMore(known.order, order)) this.#understated.add(key)
    else this.#put(key, { order, bytes, at_bytes: this.#end_bytes })
    return isNews
  }

  /** What is to be written again, at most so many. */
  due(count: number): ReadonlyArray<StoredRevocation> {
    const due = new Map<string, StoredRevocation>()
    const add = (key: string, entry: Entry | undefined) => entry !== undefined && due.set(key, entry.order)
    const until_bytes = this.#end_bytes - this.#limits.revocation_rewrite_bytes
    for (const key of this.#understated) if (due.size < count) add(key, this.#entries.get(key))
    for (const [key, entry] of this.#entries) {
      if (due.size >= count || entry.at_bytes >= until_bytes) break
      add(key, entry)
    }
    return [...due.values()]
  }

  /** Forgets what can make no difference any more. */
  forget(now_ms: number): void {
    for (const [key, { bytes, order }] of this.#entries) {
      if (!isOver(order, now_ms, this.#limits)) continue
      this.#entries.delete(key)
      this.#understated.delete(key)
      this.#bytes -= bytes
    }
  }

  #put(key: string, entry: Entry): void {
    this.#bytes += entry.bytes - (this.#entries.get(key)?.bytes ?? 0)
    this.#understated.delete(key)
    this.#entries.delete(key)
    this.#entries.set(key, entry)
  }
}

/** Invariant 1: of two orders of one key. */
const saysMore = (one: StoredRevocation, other: StoredRevocation): boolean => {
  if (one._tag === "Token" && other._tag === "Token") return one.expires_s > other.expires_s
  if (one._tag === "Subject" && other._tag === "Subject") return one.issued_s > other.issued_s
  return one.at_ms === other.at_ms ? one._tag === "Block" && other._tag === "Unblock" : one.at_ms > other.at_ms
}

/** Clocks of issuers and gateways may differ by this much. */
const skew_s = 60

/** Invariant 4. */
const isOver = (order: StoredRevocation, now_ms: number, limits: RevocationLimits): boolean => {
  switch (order._tag) {
    case "Token":
      return (order.expires_s + skew_s) * 1000 < now_ms
    case "Subject":
      return (order.issued_s + limits.revocation_kept_s) * 1000 < now_ms
    case "Block":
      return false
    case "Unblock":
      return order.at_ms + limits.revocation_unblock_kept_ms < now_ms
  }
}

/** As its record is written, with what a log needs beside it. */
const bytesOf = (order: StoredRevocation): number =>
  64 + encoder.encode(JSON.stringify(order)).length + revocationKey(order).length

const encoder = new TextEncoder()
