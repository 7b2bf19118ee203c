/**
 * Single-use tickets, for clients that can put a credential nowhere but into a URL. A ticket is worth nothing once it was
 * redeemed, or after `ticket_ms`; it is no token, and none can be had from it.
 *
 * Contract, checked by `ticketsSuite` of `@nimbus/domain/testing`: of many redemptions of one ticket, at whichever
 * gateway, exactly one succeeds. A redemption that fails with `AuthUnavailable` may have used the ticket up. Nobody can
 * guess a ticket, nor learn one, or its value, from where they are kept.
 */
import { Context, type Effect, type Option } from "effect"
import type { AuthUnavailable } from "../Errors.ts"

/** Single-use tickets. */
export class Tickets extends Context.Service<
  Tickets,
  {
    /** Keeps a value for who brings the ticket. */
    issue(value: string): Effect.Effect<string, AuthUnavailable>
    /** The value, once. */
    redeem(ticket: string): Effect.Effect<Option.Option<string>, AuthUnavailable>
  }
>()("@nimbus/domain/Tickets") {}
