/**
 * Finds out who asks, by what it brings. What a token says counts only if its issuer, its audience, its time and its
 * signature are right; `none` is no signature, and a shared secret none of a public key's.
 *
 * Revocations are none of its business: `Revocations` says what of this counts no more.
 */
import { Context, type Effect } from "effect"
import type { Principal } from "../access/Principal.ts"
import type { AuthUnavailable, Unauthenticated } from "../Errors.ts"
import type { ClientId } from "../protocol/Ids.ts"

/** What the TLS layer has verified of a peer's certificate. */
export interface PeerCertificate {
  /** Its subject alternative names, as `URI:spiffe://…`, `DNS:…`, `email:…`, in their order. */
  readonly names: ReadonlyArray<string>
  readonly serial: string
  /** When it ends, in seconds since 1970. */
  readonly expires_s: number
}

/** What somebody shows. Both may be there: the token counts. */
export interface Credentials {
  readonly token?: string | undefined
  readonly certificate?: PeerCertificate | undefined
}

/** What somebody wants who shows something, for those who decide by more than who it is. It is not part of who it is. */
export interface Attempt {
  /** The client as which it wants to connect. Absent: as the client that it is itself, or to none. */
  readonly wants?: ClientId | undefined
  /** From where, if that is known. */
  readonly address: string | undefined
  /** Through which door: a transport's name, as the audit has it. */
  readonly transport: string
}

/** Where there is one there are locks: nobody is let in whom it does not know. */
export class Authenticator extends Context.Service<
  Authenticator,
  {
    /** Who it is. Its result may be known without waiting. `attempt` is what an operator's hook is told besides. */
    authenticate(
      credentials: Credentials,
      attempt?: Attempt,
    ): Effect.Effect<Principal, Unauthenticated | AuthUnavailable>
    /**
     * Whether the key that a session's token was signed with still counts. Sessions are asked about now and then; a key
     * that its issuer has removed ends them.
     */
    isKnown(principal: Principal): boolean
  }
>()("@nimbus/domain/Authenticator") {}
