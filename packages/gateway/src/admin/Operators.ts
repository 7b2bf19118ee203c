/**
 * Who an operator is, and what it may do: by a token of the settings, by one of the provider where there are locks, or by
 * being at this machine.
 *
 * ```
 *   a token ──▶ one of the settings' ──▶ its role
 *      │              no ──▶ locks: Access.authenticate ──▶ the admin capabilities of its grants
 *      │                       no locks ──▶ UNAUTHORIZED
 *      └──▶ too many from this address were wrong (`Logins`): none is looked at for a while
 *   none ─────▶ at a loopback address without locks: owner, if it is asked from this machine
 * ```
 */
import { Grants, type PlainCapability, type Principal, Subject } from "@nimbus/domain/access"
import { LoginUnavailable, type RoleMissing, Unauthorized } from "@nimbus/domain/admin"
import { Audit, type AuditEntry } from "@nimbus/domain/services"
import { Context, Effect, Layer, Option, Redacted, Result } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Access, type From } from "../access/Access.ts"
import { Addresses } from "../addresses/Addresses.ts"
import * as Authorization from "./Authorization.ts"
import * as LoginGuard from "./LoginGuard.ts"

/** Who asks, and from where. */
export interface Operator {
  readonly principal: Principal
  readonly from: From
}

type NotKnown = LoginGuard.NotKnown
export type NotAllowed = NotKnown | RoleMissing

export class Operators extends Context.Service<
  Operators,
  {
    /** Somebody may be let in: there are tokens, or locks, or it is open to this machine. */
    readonly isOn: boolean
    /** Who it is. `transport`: as the audit has it. */
    identify(
      credential: Redacted.Redacted,
      request: HttpServerRequest.HttpServerRequest,
      transport: string,
    ): Effect.Effect<Operator, NotKnown>
    /** For the audit: what was done, or refused. */
    record(operator: Operator, entry: Happened): void
  }
>()("@nimbus/gateway/Operators") {
  static readonly layerWith = (access: Option.Option<Authorization.Access>) =>
    Layer.effect(
      Operators,
      Effect.suspend(() => make(access)),
    )
}

/** The issuer of those that no provider names. No URL, so no issuer of tokens has this name. */
const settings = "nimbus-settings"

const principalOf = (subject: string, capability: PlainCapability): Principal => {
  const clientId = Result.getOrThrow(Subject.clientIdOf({ issuer: settings, name: subject }))
  const grants = Result.getOrThrow(Grants.parse([capability], clientId))
  return {
    issuer: settings,
    subject,
    clientId,
    grants,
    claims: {},
    expires_s: undefined,
    issued_s: undefined,
    tokenId: undefined,
    keyId: undefined,
  }
}

const make = Effect.fnUntraced(function* (access: Option.Option<Authorization.Access>) {
  const locks = yield* Access
  const addresses = yield* Addresses
  const audit = Option.getOrUndefined(yield* Effect.serviceOption(Audit))
  const tokens = Authorization.tokensOf(access)
  const tokenOf = Authorization.tokenIn(tokens)
  const principals = new Map(tokens.map(({ name, role }) => [name, principalOf(name, `admin:${role}`)]))
  const here = principalOf("loopback", "admin:owner")
  const isOpenHere = locks.isOpen && Option.isSome(access) && access.value._tag === "Loopback"
  const guard = yield* LoginGuard.make

  const record = (from: From, principal: Principal | undefined, entry: Happened): void =>
    audit?.record({ issuer: principal?.issuer, subject: principal?.subject, ...from, ...entry })

  const unauthorized = (message: string) => Effect.fail(new Unauthorized({ code: "UNAUTHORIZED", message }))

  /** By a provider's token. */
  const byProvider = (token: string | undefined, from: From) =>
    locks
      .authenticate({ token }, from)
      .pipe(
        Effect.mapError((error) =>
          error._tag === "AuthUnavailable"
            ? new LoginUnavailable({ message: error.message })
            : new Unauthorized({ code: error.code, message: error.message }),
        ),
      )

  const whoIs = (token: string, from: From) => {
    const principal = principals.get(tokenOf(token)?.name ?? "")
    if (principal !== undefined) return Effect.succeed(principal)
    if (!locks.isOpen) return byProvider(token === "" ? undefined : token, from)
    return unauthorized(sayToken)
  }

  const identify = Effect.fnUntraced(function* (
    credential: Redacted.Redacted,
    request: HttpServerRequest.HttpServerRequest,
    transport: string,
  ): Effect.fn.Return<Operator, NotKnown> {
    const address = addresses.from({
      peer: Option.getOrUndefined(request.remoteAddress),
      forwardedFor: request.headers["x-forwarded-for"],
      forwarded: request.headers["forwarded"],
    })
    const from = { address: address?.text, transport }
    const token = Redacted.value(credential)
    const tellRefused = ({ code }: NotKnown) => Effect.sync(() => record(from, undefined, refusalOf(code)))
    if (isOpenHere) {
      const fault = Authorization.placeFault(request.headers)
      if (fault !== undefined) return yield* Effect.tapError(unauthorized(fault), tellRefused)
      return { principal: here, from }
    }
    const { isNews, principal } = yield* guard(token, address?.key ?? "unknown", whoIs(token, from)).pipe(
      // What the provider's token was refused for, `Access` has told.
      Effect.tapError((error) => (locks.isOpen || error._tag === "TooManyLogins" ? tellRefused(error) : Effect.void)),
    )
    if (isNews) record(from, principal, { action: "login", outcome: "OK" })
    return { principal, from }
  })

  return Operators.of({
    isOn: Option.isSome(access) || !locks.isOpen,
    identify,
    record: ({ from, principal }, entry) => record(from, principal, entry),
  })
})

/** What happened, without by whom. */
type Happened = Pick<AuditEntry, "action" | "outcome" | "detail">

const refusalOf = (code: string): Happened => ({ action: "refused", outcome: code })

const sayToken = "send a token of NIMBUS_ADMIN_TOKEN or NIMBUS_ADMIN_TOKENS: Authorization: Bearer <token>"
