/**
 * Whose tokens count, for whom, and what of them: from `NIMBUS_AUTH_…`; see docs/configuration.md.
 *
 * ```
 *   NIMBUS_AUTH_ISSUER=https://login.example/realms/app,partners=https://partners.example
 *                      └ the first: its subjects are clients by their own names
 *                                                       └ a further one, by its name: at.partners.<subject>
 * ```
 *
 * Without `NIMBUS_AUTH_ISSUER` there are no tokens. Then the other ones must not be set either: who sets one of them wants
 * locks, and must not be without.
 */
import { canonicalIssuer, isSafeAddress, Subject } from "@nimbus/domain/access"
import { Config, Option, type Redacted, Schema } from "effect"
import { insecure } from "../Insecure.ts"

/** Where an issuer's keys come from. */
export type KeySource =
  /** Its OpenID configuration says where. */
  | { readonly _tag: "Discovery" }
  | { readonly _tag: "Url"; readonly url: string }
  /** A file, of a JWK set or of a public key as PEM. */
  | { readonly _tag: "File"; readonly path: string; readonly setting: string }
  | { readonly _tag: "Pem"; readonly text: string }
  | { readonly _tag: "Secret"; readonly secret: Redacted.Redacted }

/** One issuer. */
export interface IssuerSettings {
  /** What its tokens have as `iss`. */
  readonly issuer: string
  /** Of each but the first. */
  readonly name: string | undefined
  readonly keys: KeySource
}

/** Whose tokens count, and what of them. */
export interface TokenSettings {
  readonly issuers: ReadonlyArray<IssuerSettings>
  /** One of these must be in `aud`. */
  readonly audience: ReadonlyArray<string>
  /** The claim that names the client. */
  readonly clientClaim: string
  /** Keys may come by plain `http` from other machines. */
  readonly isInsecure: boolean
}

/** Who is not known by a token of an issuer is of one of these, and nobody else is. */
const reserved: ReadonlySet<string> = new Set(["certificate", "hook", "anyone", "nimbus-settings"])

const itemsOf = (text: string): ReadonlyArray<string> => text.split(",").map((item) => item.trim())

/** `name=value`; without a name it is that of the first issuer. An address has its `=` behind a `:` or `/`. */
const namedOf = (item: string): readonly [name: string | undefined, value: string] => {
  const [, name, value = item] = /^([a-z0-9-]+)=(.+)$/s.exec(item) ?? []
  return [name, value]
}

const areIssuers = (text: string): boolean => {
  const named = itemsOf(text).map(namedOf)
  const names = named.map(([name]) => name)
  return (
    named.every(([, value]) => value !== "" && !reserved.has(canonicalIssuer(value))) &&
    names[0] === undefined &&
    names.slice(1).every((name) => name !== undefined && Subject.isIssuerName(name) && !reserved.has(name)) &&
    new Set(names).size === names.length &&
    new Set(named.map(([, value]) => canonicalIssuer(value))).size === named.length
  )
}

const checked = (is: (text: string) => boolean, says: string) =>
  Schema.String.check(Schema.makeFilter((text) => is(text) || says))

const Issuers = checked(
  areIssuers,
  "must be the issuer, and further ones as name=issuer, with commas, each once; a name has a-z, 0-9 and -",
)
const List = checked((text) => itemsOf(text).every((item) => item !== ""), "must be names with commas between them")
const Claim = checked((text) => text.trim() !== "", "must be the name of a claim")
const Secret = checked((text) => Buffer.byteLength(text) >= 32, "must be at least 32 bytes")
const PublicKey = checked(
  (text) => !text.includes("PRIVATE KEY") && text.trim() !== "",
  "must be a public key as PEM, or the path of a file with it",
)

const isUrl = (text: string): boolean => /^https?:\/\//i.test(text)

const jwksFor = (isInsecure: boolean) =>
  checked(
    (text) =>
      itemsOf(text)
        .map(namedOf)
        .every(([, value]) => value !== "" && (!isUrl(value) || isSafeAddress(value, isInsecure))),
    "must be https://… or the path of a file; of a further issuer name=…, with commas",
  )

const optional = <A>(schema: Schema.ConstraintCodec<A, unknown>, name: string) =>
  Config.option(Config.schema(schema, name)).pipe(Config.map(Option.getOrUndefined))

/** What says where keys are. */
const keys = (isInsecure: boolean) =>
  Config.all({
    jwks: optional(jwksFor(isInsecure), "NIMBUS_AUTH_JWKS"),
    publicKey: optional(PublicKey, "NIMBUS_AUTH_PUBLIC_KEY"),
    secret: optional(Schema.RedactedFromValue(Secret), "NIMBUS_AUTH_SECRET"),
  })
type Keys = Config.Success<ReturnType<typeof keys>>

const jwksOf = (value: string): KeySource =>
  isUrl(value) ? { _tag: "Url", url: value } : { _tag: "File", path: value, setting: "NIMBUS_AUTH_JWKS" }

/** The keys of each issuer that a setting names, the first of which has no name. */
const sourcesOf = ({ jwks, publicKey, secret }: Keys): ReadonlyArray<readonly [string | undefined, KeySource]> => [
  ...(jwks === undefined ? [] : itemsOf(jwks).map(namedOf)).map(([name, value]) => [name, jwksOf(value)] as const),
  ...(publicKey === undefined ? [] : [[undefined, publicKeyOf(publicKey)] as const]),
  ...(secret === undefined ? [] : [[undefined, { _tag: "Secret", secret }] as const]),
]

/** In the environment a line break may be written as `\\n`. */
const publicKeyOf = (text: string): KeySource =>
  text.includes("-----BEGIN")
    ? { _tag: "Pem", text: text.replaceAll("\\n", "\n") }
    : { _tag: "File", path: text, setting: "NIMBUS_AUTH_PUBLIC_KEY" }

/** What the keys say must fit the issuers: each has one source, and one that has none is asked at its own address. */
const fitting = (keys: Keys, isInsecure: boolean) => {
  const sources = sourcesOf(keys)
  const named = new Map(sources)
  return Issuers.check(
    Schema.makeFilter((text) => {
      const issuers = itemsOf(text).map(namedOf)
      const known = new Set(issuers.map(([name]) => name))
      const stray = sources.find(([name]) => !known.has(name))
      if (stray !== undefined) return `must name the issuer ${stray[0]}, of which NIMBUS_AUTH_JWKS has the keys`
      if (named.size < sources.length)
        return "must have its keys from one of NIMBUS_AUTH_JWKS, NIMBUS_AUTH_PUBLIC_KEY and NIMBUS_AUTH_SECRET"
      const hidden = issuers.find(([name, issuer]) => !named.has(name) && !isSafeAddress(issuer, isInsecure))
      return hidden === undefined || "must be https://…, or its keys must be named: see NIMBUS_AUTH_JWKS"
    }),
  )
}

const issuersOf = (text: string, keys: Keys): ReadonlyArray<IssuerSettings> => {
  const sources = new Map(sourcesOf(keys))
  return itemsOf(text)
    .map(namedOf)
    .map(([name, issuer]) => ({ issuer, name, keys: sources.get(name) ?? { _tag: "Discovery" } }))
}

/** A setting that says nothing without `NIMBUS_AUTH_ISSUER`. */
const alone = (name: string) =>
  optional(
    checked(() => false, "must be set with NIMBUS_AUTH_ISSUER: see docs/security.md"),
    name,
  )

const none: Config.Config<undefined> = Config.map(
  Config.all([
    alone("NIMBUS_AUTH_AUDIENCE"),
    alone("NIMBUS_AUTH_CLIENT_CLAIM"),
    alone("NIMBUS_AUTH_JWKS"),
    alone("NIMBUS_AUTH_PUBLIC_KEY"),
    alone("NIMBUS_AUTH_SECRET"),
  ]),
  () => undefined,
)

const tokens = (text: string, isInsecure: boolean): Config.Config<TokenSettings> =>
  Config.flatMap(keys(isInsecure), (keys) =>
    Config.all({
      issuers: Config.map(Config.schema(fitting(keys, isInsecure), "NIMBUS_AUTH_ISSUER"), () => issuersOf(text, keys)),
      audience: Config.map(Config.schema(List, "NIMBUS_AUTH_AUDIENCE"), itemsOf),
      isInsecure: Config.succeed(isInsecure),
      clientClaim: Config.schema(Claim, "NIMBUS_AUTH_CLIENT_CLAIM").pipe(Config.withDefault("sub")),
    }),
  )

/** `undefined`: no tokens count, because no issuer is named. */
export const config: Config.Config<TokenSettings | undefined> = Config.flatMap(insecure, (isInsecure) =>
  Config.flatMap(optional(Issuers, "NIMBUS_AUTH_ISSUER"), (text): Config.Config<TokenSettings | undefined> =>
    text === undefined ? none : tokens(text, isInsecure),
  ),
)
