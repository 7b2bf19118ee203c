/**
 * Access to the admin API: requests with the token. Without a token, and only on a loopback address, requests of this
 * machine.
 *
 * What comes without a token must name a loopback host, whatever `NIMBUS_HOSTS` says, and no proxy that brings it. That
 * of all pages only ours may ask, with a token or without, `Admission` sees to.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { AdminAuthorization, Unauthorized } from "@nimbus/domain/admin"
import { Config, Effect, Layer, Option, Redacted, Schema } from "effect"
import { HttpServerRequest } from "effect/http"
import { hostnameOf, isLoopback } from "../http/Admission.ts"

/** Who may use the admin API: whoever has the token, or whoever is at this machine. */
export type Access =
  | { readonly _tag: "Token"; readonly token: Redacted.Redacted }
  /** Only for a server that listens on a loopback address. */
  | { readonly _tag: "Loopback" }

const Token = Schema.String.check(Schema.isMinLength(16))

/** `NIMBUS_ADMIN_TOKEN`: at least 16 characters. For those who ask, too. */
export const token = Config.option(Config.schema(Schema.RedactedFromValue(Token), "NIMBUS_ADMIN_TOKEN"))

/** Requests with the token, if there is one. */
export const config = Config.map(
  token,
  Option.map((token): Access => ({ _tag: "Token", token })),
)

/** Where there is no token: open to this machine if that is all the server listens to, and otherwise closed. */
export const orLoopback = (access: Option.Option<Access>, host: string): Option.Option<Access> =>
  Option.orElse(access, () => (isLoopback(host) ? Option.some<Access>({ _tag: "Loopback" }) : Option.none()))

/** Lets in whom `access` names, and nobody else. */
export const layerWith = (access: Access) =>
  Layer.succeed(AdminAuthorization, {
    bearer: (respond, { credential }) =>
      Effect.gen(function* () {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        const fault = access._tag === "Token" ? tokenFault(access.token, credential) : placeFault(headers)
        if (fault !== undefined) return yield* new Unauthorized({ message: fault })
        return yield* respond
      }),
  })

/** Compared as digests, so that neither the time it takes nor the length tells anything. */
const tokenFault = (token: Redacted.Redacted, credential: Redacted.Redacted): string | undefined =>
  timingSafeEqual(digest(token), digest(credential))
    ? undefined
    : "send the token of NIMBUS_ADMIN_TOKEN: Authorization: Bearer <token>"

const digest = (secret: Redacted.Redacted): Buffer => createHash("sha256").update(Redacted.value(secret)).digest()

/** A proxy on this machine brings requests from elsewhere, by whatever name it likes. */
const byProxy = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"]

const placeFault = (headers: Readonly<Record<string, string | undefined>>): string | undefined => {
  const { host } = headers
  if (byProxy.some((name) => headers[name] !== undefined)) return "behind a proxy NIMBUS_ADMIN_TOKEN must be set"
  return host !== undefined && isLoopback(hostnameOf(host) ?? "")
    ? undefined
    : "without NIMBUS_ADMIN_TOKEN only this machine may ask, by a loopback name"
}
