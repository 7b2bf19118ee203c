/**
 * Single-use tickets, for clients that can put a credential nowhere but into a URL. A ticket is worth nothing once it was
 * redeemed, or after `ticket_ms`; it is no token, and none can be had from it.
 *
 * Contract, checked by `ticketsSuite` of `@nimbus/domain/testing`: of many redemptions of one ticket, at whichever
 * gateway, exactly one succeeds.
 */
import { Context, type Effect, type Option } from "effect"
import type { AuthUnavailable } from "../Errors.ts"

export class Tickets extends Context.Service<
  Tickets,
  {
    /** Keeps a value for who brings the ticket. */
    issue(value: string): Effect.Effect<string, AuthUnavailable>
    /** The value, once. */
    redeem(ticket: string): Effect.Effect<Option.Option<string>, AuthUnavailable>
  }
>()("@nimbus/domain/Tickets") {}
