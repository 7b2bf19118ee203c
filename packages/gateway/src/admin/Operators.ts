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
import { LoginUnavailable, type RoleMissing, type TooManyLogins, Unauthorized } from "@nimbus/domain/admin"
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
    /**
     * The same at a route of clients where there are locks: one of the settings' tokens counts there too, and `byProvider`
     * says whose any other is.
     */
    orClient<E extends { readonly code: string }>(
      request: HttpServerRequest.HttpServerRequest,
      transport: string,
      byProvider: Effect.Effect<Principal, E>,
    ): Effect.Effect<Principal, E | TooManyLogins>
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

  const placeOf = ({ headers, remoteAddress }: HttpServerRequest.HttpServerRequest, transport: string) => {
    const address = addresses.from({
      peer: Option.getOrUndefined(remoteAddress),
      forwardedFor: headers["x-forwarded-for"],
      forwarded: headers["forwarded"],
    })
    return { address, from: { address: address?.text, transport } }
  }

  /** One of the settings' tokens, or whose `other` says. */
  const whoIs = <E extends { readonly code: string }>(
    token: string,
    { address, from }: ReturnType<typeof placeOf>,
    other: Effect.Effect<Principal, E>,
  ) =>
    Effect.gen(function* () {
      const known = principals.get(tokenOf(token)?.name ?? "")
      const { isNews, principal } = yield* guard(
        token,
        address?.key ?? "unknown",
        known === undefined ? other : Effect.succeed(known),
      )
      if (isNews && known !== undefined) record(from, known, { action: "login", outcome: "OK" })
      return principal
    })

  const identify = Effect.fnUntraced(function* (
    credential: Redacted.Redacted,
    request: HttpServerRequest.HttpServerRequest,
    transport: string,
  ): Effect.fn.Return<Operator, NotKnown> {
    const place = placeOf(request, transport)
    const { from } = place
    const token = Redacted.value(credential)
    const tellRefused = ({ code }: NotKnown) => Effect.sync(() => record(from, undefined, refusalOf(code)))
    if (isOpenHere) {
      const fault = Authorization.placeFault(request.headers)
      if (fault !== undefined) return yield* Effect.tapError(unauthorized(fault), tellRefused)
      return { principal: here, from }
    }
    const other = locks.isOpen ? unauthorized(sayToken) : byProvider(token === "" ? undefined : token, from)
    const principal = yield* whoIs(token, place, other).pipe(
      // What the provider's token was refused for, `Access` has told.
      Effect.tapError((error) => (locks.isOpen || error._tag === "TooManyLogins" ? tellRefused(error) : Effect.void)),
    )
    return { principal, from }
  })

  return Operators.of({
    isOn: Option.isSome(access) || !locks.isOpen,
    identify,
    orClient: (request, transport, other) => {
      const token = bearerOf(request)
      // Nobody guesses a signature: who guesses tokens of the settings holds up none of the clients at its address.
      const isOfProvider = tokens.length === 0 || (isSigned(token) && tokenOf(token) === undefined)
      return isOfProvider ? other : whoIs(token, placeOf(request, transport), other)
    },
    record: ({ from, principal }, entry) => record(from, principal, entry),
  })
})

/** As a JWT is spelled: three parts. */
const isSigned = (token: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)

/** What happened, without by whom. */
type Happened = Pick<AuditEntry, "action" | "outcome" | "detail">

const refusalOf = (code: string): Happened => ({ action: "refused", outcome: code })

const sayToken = "send a token of NIMBUS_ADMIN_TOKEN or NIMBUS_ADMIN_TOKENS: Authorization: Bearer <token>"

/**
 * What `Authorization` has; empty: none. One of the settings' tokens may have spaces in it. Strangers write it: no part of
 * the pattern may match what the next one does, or a long header takes the time of its square.
 */
export const bearerOf = ({ headers }: Pick<HttpServerRequest.HttpServerRequest, "headers">): string =>
  /^Bearer +(\S.*)$/i.exec(headers["authorization"] ?? "")?.[1]?.trimEnd() ?? ""
