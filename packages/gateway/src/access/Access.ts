/**
 * Who is let in, and as whom: the one place where the transports ask. It decides before anything is written anywhere.
 *
 * ```
 *   credentials ──▶ Authenticator ──▶ Revocations ──▶ connect:<id>, read, ack ──▶ Admitted ──▶ hold: Leases
 *                        │                  │                   │
 *                  Unauthenticated    Unauthenticated       Forbidden          each counted, and told to Audit
 * ```
 *
 * Without an `Authenticator` in the environment there are no locks: everybody is the client that it names, and may what
 * a client can.
 */
import {
  anyone,
  capabilityOf,
  type Principal,
  type PlainCapability,
  type TargetedCapability,
} from "@nimbus/domain/access"
import { type AuthUnavailable, Forbidden, Unauthenticated } from "@nimbus/domain/errors"
import { type ClientId, type Cursor, start } from "@nimbus/domain/protocol"
import { Audit, Authenticator, type Credentials, Revocations } from "@nimbus/domain/services"
import { Clock, Context, Effect, Layer, Option, Schedule } from "effect"
import { type Held, type Lease, Leases } from "./Leases.ts"

/** From where somebody asks. */
export interface From {
  readonly address: string | undefined
  /** As `Transport.name`: its path, or `grpc`. */
  readonly transport: string
}

/** As what somebody wants to connect. */
export interface Asked {
  /** Not given: as the client that it is itself. */
  readonly clientId: ClientId | undefined
  /** It acknowledges everything up to here. */
  readonly after: Cursor
  /** What it is sent is acknowledged for it. */
  readonly autoAck: boolean
}

/** Who connects, as whom. */
export interface Admitted {
  readonly principal: Principal
  readonly clientId: ClientId
}

/** What a session is there for: without it there is none. */
export type Need = readonly [capability: TargetedCapability, target: string]

export type NotAdmitted = Unauthenticated | AuthUnavailable | Forbidden

export class Access extends Context.Service<
  Access,
  {
    /** There are no locks. */
    readonly isOpen: boolean
    /** Who it is. */
    authenticate(credentials: Credentials, from: From): Effect.Effect<Principal, Unauthenticated | AuthUnavailable>
    /** Who it is, and whether it may connect so. Nothing has happened yet where it may not. */
    connect(asked: Asked, credentials: Credentials, from: From): Effect.Effect<Admitted, NotAdmitted>
    /** It may not do this: for the answer. It is counted, and told. */
    deny(principal: Principal, capability: string, from: From): Forbidden
    /** Whether it may; if not, as `deny` has it. */
    check(principal: Principal, from: From, capability: PlainCapability): Effect.Effect<void, Forbidden>
    checkOf(
      principal: Principal,
      from: From,
      capability: TargetedCapability,
      target: string,
    ): Effect.Effect<void, Forbidden>
    /** A session that stands on it, until it is released. */
    hold(principal: Principal, held: Held): Lease
    /**
     * The session goes on with another token, of the same subject, which must allow what the session is: `needs`. Where it
     * fails the session goes on with the one that it has.
     */
    renew(
      lease: Lease,
      credentials: Credentials,
      from: From,
      needs: ReadonlyArray<Need>,
    ): Effect.Effect<void, NotAdmitted>
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
  const audit = Option.getOrUndefined(yield* Effect.serviceOption(Audit))
  const clock = yield* Clock.Clock
  const now_s = () => Math.floor(clock.currentTimeMillisUnsafe() / 1000)
  const leases = new Leases()

  const tell = (principal: Principal | undefined, from: From, outcome: string, detail?: string): void =>
    audit?.record({
      action: outcome === "OK" ? "login" : "refused",
      outcome,
      issuer: principal?.issuer,
      subject: principal?.subject,
      clientId: principal?.clientId,
      address: from.address,
      transport: from.transport,
      detail,
    })

  const notRevoked = (principal: Principal): Effect.Effect<Principal, Unauthenticated> =>
    revocations?.of(principal) === undefined
      ? Effect.succeed(principal)
      : Effect.fail(new Unauthenticated({ code: "TOKEN_REVOKED", reason: "the token, or its subject, was revoked" }))

  const authenticate = (credentials: Credentials, from: From) =>
    authenticator === undefined
      ? Effect.die("there are no locks: nobody is to be asked for a token")
      : Effect.flatMap(authenticator.authenticate(credentials), notRevoked).pipe(
          Effect.tapError(({ code }) => Effect.sync(() => tell(undefined, from, code))),
        )

  const deny = (principal: Principal, capability: string, from: From): Forbidden => {
    tell(principal, from, "FORBIDDEN", capability)
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

  const connect = Effect.fnUntraced(function* (
    { after, autoAck, clientId: named }: Asked,
    credentials: Credentials,
    from: From,
  ): Effect.fn.Return<Admitted, NotAdmitted> {
    if (authenticator === undefined && named !== undefined) return { principal: anyone(named), clientId: named }
    const principal = yield* authenticate(credentials, from)
    const clientId = named ?? principal.clientId
    yield* checkOf(principal, from, "connect", clientId)
    if (after !== start || autoAck) yield* check(principal, from, "ack")
    tell(principal, from, "OK")
    return { principal, clientId }
  })

  const renew = Effect.fnUntraced(function* (
    lease: Lease,
    credentials: Credentials,
    from: From,
    needs: ReadonlyArray<Need>,
  ) {
    const next = yield* authenticate(credentials, from)
    const { issuer, subject } = lease.principal
    if (next.issuer !== issuer || next.subject !== subject) {
      return yield* new Unauthenticated({
        code: "TOKEN_INVALID",
        reason: "the token is of another subject than the session",
      })
    }
    yield* Effect.forEach(needs, ([capability, target]) => checkOf(next, from, capability, target), { discard: true })
    lease.renew(next)
  })

  if (revocations !== undefined) yield* revocations.onOrder((revocation) => leases.revoke(revocation))
  const ticks = { count: 0 }
  yield* Effect.sync(() => {
    leases.tick(now_s())
    if (authenticator !== undefined && ++ticks.count % keys_check_s === 0) leases.check(authenticator.isKnown)
  }).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)

  return Access.of({
    isOpen: authenticator === undefined,
    authenticate,
    connect,
    deny,
    check,
    checkOf,
    hold: (principal, held) => leases.hold(principal, held),
    renew,
  })
})
