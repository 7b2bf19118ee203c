/**
 * What counts no more although its time has not come: single tokens, all tokens of a subject that were issued before a
 * moment, and blocked subjects. An order is in force at every gateway within 5 s, and survives all restarts.
 *
 * Bounded: an order about tokens is forgotten when none of them could count any more, and beyond
 * `revocation_orders` a new one is refused.
 */
import { Context, type Effect, type Scope } from "effect"
import type { Principal } from "../access/Principal.ts"
import type { AuthUnavailable } from "../Errors.ts"

/** An order. Times are in seconds since 1970. */
export type Revocation =
  /** One token. `expires_s`: when it ends by itself, so that the order may be forgotten. */
  | { readonly _tag: "Token"; readonly issuer: string; readonly tokenId: string; readonly expires_s: number }
  /** All tokens of a subject that were issued up to this moment. */
  | { readonly _tag: "Subject"; readonly issuer: string; readonly subject: string; readonly issued_s: number }
  /** A subject, until it is unblocked. */
  | { readonly _tag: "Block"; readonly issuer: string; readonly subject: string }
  | { readonly _tag: "Unblock"; readonly issuer: string; readonly subject: string }

export class Revocations extends Context.Service<
  Revocations,
  {
    /** The order by which this one counts no more. */
    of(principal: Principal): Revocation | undefined
    /** Done once it is stored. */
    order(revocation: Revocation): Effect.Effect<void, AuthUnavailable>
    /** All that are in force. */
    readonly list: () => ReadonlyArray<Revocation>
    /** Called with what has come, so that open sessions are looked at. */
    onOrder(listener: (revocation: Revocation) => void): Effect.Effect<void, never, Scope.Scope>
  }
>()("@nimbus/domain/Revocations") {}
