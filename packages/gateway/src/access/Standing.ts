/**
 * What one session stands on: who its client is, what it may, and until when. The core asks it before anything becomes of
 * what a client wants. Where there are no locks all sessions stand on the same, which allows everything and never ends.
 */
import { callerHeaders, Grants, type Principal } from "@nimbus/domain/access"
import type { Forbidden } from "@nimbus/domain/errors"
import type { CloseReason, Headers, Owner } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import type { NotAdmitted, Shown } from "./Asking.ts"
import type { Held, Lease } from "./Leases.ts"

export interface Standing {
  /** Only the same owner goes on with its session. `undefined`: there are no locks. */
  readonly owner: Owner | undefined
  readonly grants: Grants
  /** What the records of its events carry beside their journey: who caused them. */
  readonly headers: Headers | undefined
  /** It may not: told to the audit. */
  deny(capability: string): Forbidden
  /** Its session is open, and ends with what was shown. */
  hold(held: Held): void
  release(): void
  /** It goes on with this, from the next event on; otherwise nothing has changed. */
  renew(shown: Shown): Effect.Effect<Principal, NotAdmitted>
}

/** Where there are no locks. */
export const open: Standing = {
  owner: undefined,
  grants: Grants.all,
  headers: undefined,
  deny: (capability) => {
    throw new Error(`there are no locks, and ${capability} was denied`)
  },
  hold: () => {},
  release: () => {},
  renew: () => Effect.die("there are no locks"),
}

export interface StandingOptions {
  readonly owner: Owner
  readonly principal: Principal
  readonly deny: (principal: Principal, capability: string) => Forbidden
  readonly hold: (principal: Principal, held: Held) => Lease
  /** Who it is now: the same subject, which may still do what its session does. */
  readonly again: (shown: Shown) => Effect.Effect<Principal, NotAdmitted>
}

/** Where there are. */
export class LockedStanding implements Standing {
  readonly owner: Owner
  grants: Grants
  headers: Headers | undefined
  #principal: Principal
  readonly #options: StandingOptions
  #lease: Lease | undefined = undefined

  constructor(options: StandingOptions) {
    const { owner, principal } = options
    this.owner = owner
    this.grants = principal.grants
    this.headers = callerHeaders(principal)
    this.#principal = principal
    this.#options = options
  }

  deny(capability: string): Forbidden {
    return this.#options.deny(this.#principal, capability)
  }

  hold(held: Held): void {
    this.#lease = this.#options.hold(this.#principal, held)
  }

  release(): void {
    this.#lease?.release()
  }

  renew(shown: Shown): Effect.Effect<Principal, NotAdmitted> {
    return Effect.map(this.#options.again(shown), (next) => {
      this.#principal = next
      this.grants = next.grants
      this.headers = callerHeaders(next)
      this.#lease?.renew(next)
      return next
    })
  }
}

/** What a session is told before it is closed for this. */
export const sentenceOf = ({ reason }: CloseReason): string =>
  reason === "TOKEN_EXPIRED"
    ? "the token has ended: come back with a new one"
    : "the token counts no more: it, or its subject, was revoked, or its key was removed"
