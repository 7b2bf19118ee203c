/**
 * Who is let in, and as whom: the one place where the transports ask. It decides before anything is written anywhere.
 *
 * ```
 *   Shown ──▶ Authenticator ──▶ Revocations ──▶ connect:<id>, read, ack ──▶ Admitted ──▶ Standing ──▶ Leases
 *                  │                 │                   │
 *           Unauthenticated   Unauthenticated        Forbidden    each told to Audit, and counted by who answers
 * ```
 *
 * Without an `Authenticator` in the environment there are no locks: everybody is the client that it names, and may what
 * a client can.
 */
import { createHash } from "node:crypto"
import {
  anyone,
  caller_bytes,
  capabilityOf,
  isCallerTooLong,
  ownerOf,
  type PlainCapability,
  type Principal,
  type TargetedCapability,
} from "@nimbus/domain/access"
import { type AuthUnavailable, Forbidden, Unauthenticated } from "@nimbus/domain/errors"
import { registerSize } from "@nimbus/domain/observability"
import { type ClientId, closeCodes, Owner, start } from "@nimbus/domain/protocol"
import {
  type Attempt,
  Audit,
  type AuditEntry,
  Authenticator,
  type Credentials,
  Revocations,
  Tickets,
} from "@nimbus/domain/services"
import { Clock, Context, Effect, Layer, Option, Schedule } from "effect"
import type { Admitted, Asked, From, Need, NotAdmitted, Shown } from "./Asking.ts"
import { type Held, type Lease, Leases } from "./Leases.ts"
import { LockedStanding, open, type Standing } from "./Standing.ts"

export type * from "./Asking.ts"

/** Who is let in, and what it may do: asked by every transport and route. */
export class Access extends Context.Service<
  Access,
  {
    /** There are no locks. */
    readonly isOpen: boolean
    /** Who it is. Whoever answers counts what fails. */
    authenticate(shown: Shown, from: From): Effect.Effect<Principal, Unauthenticated | AuthUnavailable>
    /** Who it is, and whether it may connect so. Nothing has happened yet where it may not. */
    connect(asked: Asked, shown: Shown, from: From): Effect.Effect<Admitted, NotAdmitted>
    /** It may not do this: for the answer. It is told. */
    deny(principal: Principal, capability: string, from: From): Forbidden
    /** Whether it may; if not, as `deny` has it. */
    check(principal: Principal, from: From, capability: PlainCapability): Effect.Effect<void, Forbidden>
    checkOf(
      principal: Principal,
      from: From,
      capability: TargetedCapability,
      target: string,
    ): Effect.Effect<void, Forbidden>
    /** For the audit: what somebody did that is no login. */
    tell(principal: Principal, from: From, action: AuditEntry["action"], outcome: string, detail: string): void
    /** What a session stands on that is opened as this. */
    stand(as: Admitted & Pick<Asked, "autoAck" | "reads">, from: From): Standing
    /** The same for what is no session of the delivery core. `held` ends with what was shown, until it is released. */
    hold(principal: Principal, held: Held): Lease
    /**
     * It goes on with another token, of the same subject, which must allow what it is: `needs`. Where it fails it goes on
     * with the one that it has.
     */
    renew(lease: Lease, shown: Shown, from: From, needs: ReadonlyArray<Need>): Effect.Effect<void, NotAdmitted>
  }
>()("@nimbus/gateway/Access") {
  static readonly layer = Layer.effect(
    Access,
    Effect.suspend(() => make),
  )
}

/** How often sessions are looked at whose key may be gone. */
const keys_check_s = 10

const make = Effect.gen(function* () {
  const authenticator = Option.getOrUndefined(yield* Effect.serviceOption(Authenticator))
  const revocations = Option.getOrUndefined(yield* Effect.serviceOption(Revocations))
  const tickets = Option.getOrUndefined(yield* Effect.serviceOption(Tickets))
  const audit = Option.getOrUndefined(yield* Effect.serviceOption(Audit))
  const clock = yield* Clock.Clock
  const leases = new Leases()

  const record = (
    principal: Principal | undefined,
    { address, transport }: From,
    entry: Pick<AuditEntry, "action" | "outcome" | "detail">,
  ): void => {
    const { clientId, issuer, subject } = principal ?? nobody
    audit?.record({ ...entry, issuer, subject, clientId, address, transport })
  }

  const whoIs = Effect.fnUntraced(function* (shown: Shown, attempt: Attempt) {
    if (authenticator === undefined) return yield* Effect.die("there are no locks: nobody is to be asked for a token")
    return yield* authenticator.authenticate(yield* redeemed(shown, tickets), attempt)
  })
  const counting = (principal: Principal) => {
    if (revocations?.of(principal) !== undefined) return revoked
    return isCallerTooLong(principal) ? tooMuchSaid : Effect.succeed(principal)
  }
  const authenticate = (shown: Shown, from: From, wants?: ClientId) => {
    const tell = (principal: Principal | undefined) => (error: Unauthenticated | AuthUnavailable) =>
      Effect.sync(() => record(principal, from, { action: "refused", outcome: error.code }))
    return Effect.flatMap(Effect.tapError(whoIs(shown, { ...from, wants }), tell(undefined)), (principal) =>
      Effect.tapError(counting(principal), tell(principal)),
    )
  }

  /** A session would end at once that stands on what has ended, though for one request it counts: clocks differ. */
  const toStandOn = (shown: Shown, from: From, wants: ClientId | undefined) =>
    Effect.flatMap(authenticate(shown, from, wants), (principal) => {
      const { expires_s = Infinity } = principal
      if (clock.currentTimeMillisUnsafe() / 1000 < expires_s) return Effect.succeed(principal)
      record(principal, from, { action: "refused", outcome: "TOKEN_EXPIRED" })
      return hasEnded
    })

  const deny = (principal: Principal, capability: string, from: From): Forbidden => {
    record(principal, from, { action: "refused", outcome: "FORBIDDEN", detail: capability })
    return new Forbidden({ capability })
  }
  const check = (principal: Principal, from: From, capability: PlainCapability) =>
    principal.grants.may(capability)
      ? Effect.void
      : Effect.suspend(() => Effect.fail(deny(principal, capability, from)))
  const checkOf = (principal: Principal, from: From, capability: TargetedCapability, target: string) =>
    principal.grants.mayOf(capability, target)
      ? Effect.void
      : Effect.suspend(() => Effect.fail(deny(principal, capabilityOf(capability, target), from)))

  const mayConnect = Effect.fnUntraced(function* (principal: Principal, { clientId, ...asked }: Connects, from: From) {
    yield* checkOf(principal, from, "connect", clientId)
    if (asked.reads) yield* check(principal, from, "read")
    if (asked.after !== start || asked.autoAck) yield* check(principal, from, "ack")
    if (asked.journey) yield* check(principal, from, "journey")
  })

  const connect = Effect.fnUntraced(function* (asked: Asked, shown: Shown, from: From) {
    const named = asked.clientId
    if (authenticator === undefined && named !== undefined) return { principal: anyone(named), clientId: named }
    const principal = yield* toStandOn(shown, from, named)
    const clientId = named ?? principal.clientId
    yield* mayConnect(principal, { ...asked, clientId }, from)
    record(principal, from, { action: "login", outcome: "OK", detail: capabilityOf("connect", clientId) })
    return { principal, clientId }
  })

  /** Who it is now, which must be who it was. */
  const again = Effect.fnUntraced(function* (principal: Principal, shown: Shown, from: From, clientId?: ClientId) {
    const next = yield* toStandOn(shown, from, clientId)
    if (ownerOf(next) === ownerOf(principal)) return next
    record(next, from, { action: "refused", outcome: "TOKEN_INVALID", detail: "another subject" })
    return yield* anotherSubject
  })

  const hold = (principal: Principal, held: Held): Lease => {
    const lease = leases.hold(principal, held)
    /** It may have been revoked since it was looked at: an order ends only those that are held as it comes. */
    const look = (now: Principal): void => {
      if (revocations?.of(now) !== undefined && lease.release()) held.ended(closeCodes.revoked)
    }
    look(principal)
    return {
      get principal() {
        return lease.principal
      },
      renew: (next) => {
        lease.renew(next)
        look(next)
      },
      release: () => lease.release(),
    }
  }

  const stand = ({ autoAck, clientId, principal, reads }: Parameters<Stand>[0], from: From): Standing =>
    authenticator === undefined
      ? open
      : new LockedStanding({
          owner: markOf(principal),
          principal,
          deny: (principal, capability) => deny(principal, capability, from),
          hold,
          again: (shown) =>
            Effect.tap(again(principal, shown, from, clientId), (next) =>
              mayConnect(next, { clientId, autoAck, reads, after: start, journey: false }, from),
            ),
        })

  if (revocations !== undefined) yield* revocations.onOrder((revocation) => leases.revoke(revocation))
  if (authenticator !== undefined) {
    yield* registerSize("access", {
      get size() {
        return { sessions: leases.size, seconds: leases.seconds }
      },
    })
    const ticks = { count: 0 }
    yield* Effect.sync(() => {
      leases.tick(Math.floor(clock.currentTimeMillisUnsafe() / 1000))
      if (++ticks.count % keys_check_s === 0) leases.check(authenticator.isKnown)
    }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
  }

  return Access.of({
    isOpen: authenticator === undefined,
    authenticate: (shown, from) => authenticate(shown, from),
    connect,
    deny,
    check,
    checkOf,
    tell: (principal, from, action, outcome, detail) => record(principal, from, { action, outcome, detail }),
    stand,
    hold,
    renew: Effect.fnUntraced(function* (lease, shown, from, needs) {
      const next = yield* again(lease.principal, shown, from)
      yield* Effect.forEach(needs, ([capability, target]) => checkOf(next, from, capability, target), { discard: true })
      lease.renew(next)
    }),
  })
})

type Stand = Access["Service"]["stand"]
type Connects = Asked & { readonly clientId: ClientId }

const nobody = { issuer: undefined, subject: undefined, clientId: undefined }

/** The owner of a session, for stores: nothing of who it is can be read from it. */
const markOf = (principal: Principal): Owner =>
  Owner.make(createHash("sha256").update(ownerOf(principal)).digest("base64url").slice(0, 22))

const invalid = (reason: string) => Effect.fail(new Unauthenticated({ code: "TOKEN_INVALID", reason }))
const tooMuchSaid = invalid(`its subject and the claims for handlers take up more than ${caller_bytes} bytes`)
const anotherSubject = invalid("the token is of another subject than the session")
const spent = invalid("the ticket was used, is too old, or is none")
const hasEnded = Effect.fail(new Unauthenticated({ code: "TOKEN_EXPIRED", reason: "the token has ended" }))
const revoked = Effect.fail(
  new Unauthenticated({ code: "TOKEN_REVOKED", reason: "the token, or its subject, was revoked" }),
)

/** With the token that a ticket stands for. */
const redeemed = Effect.fnUntraced(function* (
  { certificate, ticket, token }: Shown,
  tickets: Tickets["Service"] | undefined,
): Effect.fn.Return<Credentials, Unauthenticated | AuthUnavailable> {
  if (ticket === undefined || token !== undefined) return { token, certificate }
  const value = tickets === undefined ? Option.none() : yield* tickets.redeem(ticket)
  return Option.isNone(value) ? yield* spent : { token: value.value, certificate }
})
