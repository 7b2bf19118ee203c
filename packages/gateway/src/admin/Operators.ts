/**
 * Who an operator is, and what it may do: by a token of the settings, by one of the provider where there are locks, or by
 * being at this machine.
 *
 * ```
 *   a token ──▶ one of the settings' ──▶ its role
 *      │              no ──▶ locks: Access.authenticate ──▶ the admin capabilities of its grants
 *      │                       no locks ──▶ UNAUTHORIZED
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

/** Who asks, and from where. */
export interface Operator {
  readonly principal: Principal
  readonly from: From
}

export type NotKnown = Unauthorized | TooManyLogins | LoginUnavailable
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
    record(operator: Operator, entry: Pick<AuditEntry, "action" | "outcome" | "detail">): void
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

  const refused = (from: From, code: string): void =>
    audit?.record({ action: "refused", outcome: code, issuer: undefined, subject: undefined, ...from })

  /** By a provider's token. What is refused is told by `Access`. */
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

  const whoIs = (token: string, headers: Readonly<Record<string, string | undefined>>, from: From) => {
    if (isOpenHere) {
      const fault = Authorization.placeFault(headers)
      return fault === undefined ? Effect.succeed(here) : unauthorized(from, fault)
    }
    const principal = principals.get(tokenOf(token)?.name ?? "")
    if (principal !== undefined) return Effect.succeed(principal)
    return locks.isOpen ? unauthorized(from, sayToken) : byProvider(token === "" ? undefined : token, from)
  }

  const unauthorized = (from: From, message: string) =>
    Effect.suspend(() => {
      refused(from, "UNAUTHORIZED")
      return Effect.fail(new Unauthorized({ code: "UNAUTHORIZED", message }))
    })

  return Operators.of({
    isOn: Option.isSome(access) || !locks.isOpen,
    identify: (credential, request, transport) => {
      const address = addresses.from({
        peer: Option.getOrUndefined(request.remoteAddress),
        forwardedFor: request.headers["x-forwarded-for"],
        forwarded: request.headers["forwarded"],
      })
      const from = { address: address?.text, transport }
      return Effect.map(whoIs(Redacted.value(credential), request.headers, from), (principal) => ({ principal, from }))
    },
    record: ({ from, principal: { issuer, subject } }, entry) => audit?.record({ issuer, subject, ...from, ...entry }),
  })
})

const sayToken = "send a token of NIMBUS_ADMIN_TOKEN or NIMBUS_ADMIN_TOKENS: Authorization: Bearer <token>"
