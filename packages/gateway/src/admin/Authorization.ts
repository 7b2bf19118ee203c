/**
 * Who may use the admin API and the page: whoever has a token, each with its role; or, only on a loopback address, requests
 * of this machine.
 *
 * What comes without a token must name a loopback host, whatever `NIMBUS_HOSTS` says, and no proxy that brings it. That
 * of all pages only ours may ask, with a token or without, `Admission` sees to.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { type AdminRole, adminRoles } from "@nimbus/domain/access"
import { Config, Option, Redacted, Schema } from "effect"
import { hostnameOf, isLoopback } from "../http/Admission.ts"

/** A token, what it is called where it is told who did something, and what it may be used for. */
export interface NamedToken {
  readonly name: string
  readonly role: AdminRole
  readonly token: Redacted.Redacted
}

/** Who may use the admin API: whoever has a token, or whoever is at this machine. */
export type Access =
  /** The owner's. */
  | { readonly _tag: "Token"; readonly token: Redacted.Redacted }
  /** Several: with a role each, and two at once while one is replaced. */
  | { readonly _tag: "Tokens"; readonly tokens: ReadonlyArray<NamedToken> }
  /** Only for a server that listens on a loopback address. Where there are locks it lets nobody in. */
  | { readonly _tag: "Loopback" }

const token_chars = 16
const Token = Schema.String.check(Schema.isMinLength(token_chars))

/** `NIMBUS_ADMIN_TOKEN`: at least 16 characters. For those who ask, too. */
export const token = Config.option(Config.schema(Schema.RedactedFromValue(Token), "NIMBUS_ADMIN_TOKEN"))

const named = new RegExp(`^([a-z0-9-]{1,32})=(${adminRoles.join("|")}):([^\\s,]{${token_chars},})$`)

const partsOf = (list: string): ReadonlyArray<string> => list.split(",").map((part) => part.trim())

/** A list that is wrong is not told: it has tokens in it. */
const isTokens = (list: string): boolean => {
  const parts = partsOf(list).map((part) => named.exec(part))
  const isOnce = (group: number) => new Set(parts.map((part) => part?.[group])).size === parts.length
  // One token with two roles would be whichever of them is looked at last.
  return !parts.includes(null) && isOnce(1) && isOnce(3)
}

const Tokens = Schema.String.check(
  Schema.makeFilter(isTokens, {
    expected: `name=role:token, several by commas: names and tokens once each, names of a-z0-9-; a role of ${adminRoles.join(", ")}; tokens of at least ${token_chars} characters`,
  }),
)

/** `NIMBUS_ADMIN_TOKENS`: `name=role:token`, several by commas. */
const tokens = Config.option(Config.schema(Schema.RedactedFromValue(Tokens), "NIMBUS_ADMIN_TOKENS")).pipe(
  Config.map((list) => (Option.isSome(list) ? tokensIn(Redacted.value(list.value)) : [])),
)

const tokensIn = (list: string): ReadonlyArray<NamedToken> =>
  partsOf(list).flatMap((part) => {
    const [, name = "", asked, text = ""] = named.exec(part) ?? []
    const role = adminRoles.find((role) => role === asked)
    return role === undefined ? [] : [{ name, role, token: Redacted.make(text) }]
  })

/** The name of `NIMBUS_ADMIN_TOKEN`, which no other has: theirs have no capitals. */
const ownName = "NIMBUS_ADMIN_TOKEN"

const ownerOf = (token: Redacted.Redacted): NamedToken => ({ name: ownName, role: "owner", token })

/** Requests with one of the tokens, if there are any. */
export const config = Config.map(Config.all([token, tokens]), ([own, others]): Option.Option<Access> => {
  const all = [...(Option.isSome(own) ? [ownerOf(own.value)] : []), ...others]
  return all.length === 0 ? Option.none() : Option.some({ _tag: "Tokens", tokens: all })
})

/** The tokens that let in. */
export const tokensOf = (access: Option.Option<Access>): ReadonlyArray<NamedToken> => {
  if (Option.isNone(access) || access.value._tag === "Loopback") return []
  return access.value._tag === "Token" ? [ownerOf(access.value.token)] : access.value.tokens
}

/** Where there is no token: open to this machine if that is all the server listens to, and otherwise closed. */
export const orLoopback = (access: Option.Option<Access>, host: string): Option.Option<Access> =>
  Option.orElse(access, () => (isLoopback(host) ? Option.some<Access>({ _tag: "Loopback" }) : Option.none()))

/**
 * The one of these tokens that it is. Compared as digests, and with all of them, so that neither the time it takes nor the
 * length tells anything.
 */
export const tokenIn = (tokens: ReadonlyArray<NamedToken>): ((shown: string) => NamedToken | undefined) => {
  const known = tokens.map((named) => ({ named, digest: digestOf(Redacted.value(named.token)) }))
  return (shown) => {
    const digest = digestOf(shown)
    let found: NamedToken | undefined
    for (const each of known) if (timingSafeEqual(each.digest, digest)) found = each.named
    return found
  }
}

/** What is kept of a token. */
export const digestOf = (secret: string): Buffer => createHash("sha256").update(secret).digest()

/** A proxy on this machine brings requests from elsewhere, by whatever name it likes. */
const byProxy = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"]

/** Why a request without a token is none of this machine's. */
export const placeFault = (headers: Readonly<Record<string, string | undefined>>): string | undefined => {
  const { host } = headers
  if (byProxy.some((name) => headers[name] !== undefined)) return "behind a proxy NIMBUS_ADMIN_TOKEN must be set"
  return host !== undefined && isLoopback(hostnameOf(host) ?? "")
    ? undefined
    : "without NIMBUS_ADMIN_TOKEN only this machine may ask, by a loopback name"
}
