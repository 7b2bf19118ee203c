/**
 * The keys of an issuer, from where they are: its OpenID configuration, an address, a file, or the settings themselves.
 *
 * What is no key for signatures is left out, and so is a secret: what others can read is none.
 */
import { createPublicKey } from "node:crypto"
import { readFile } from "node:fs/promises"
import { canonicalIssuer, isSafeAddress } from "@nimbus/domain/access"
import { Context, Effect, Layer, Redacted, Result, Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { calculateJwkThumbprint, type JWK } from "jose"
import { isNestedTooDeeply, parseJsonText } from "@nimbus/domain/json"
import { KeysUnavailable } from "../Errors.ts"
import type { TokenLimits } from "../Limits.ts"
import { algorithmsOf, secretAlgorithms } from "./Algorithms.ts"
import type { VerifyKey } from "./KeyBook.ts"
import type { IssuerSettings } from "./Settings.ts"

/** A redirect may lead anywhere: none is followed. */
const client = Context.add(
  Effect.runSync(Effect.scoped(Layer.build(FetchHttpClient.layer))),
  FetchHttpClient.RequestInit,
  { redirect: "error" },
)

/** All keys of an issuer, as they are now. */
export type Source = Effect.Effect<ReadonlyArray<VerifyKey>, KeysUnavailable>

const unavailable = (reason: string, cause: unknown = reason) => new KeysUnavailable({ reason, cause })

/** A document of JSON, within its bounds. */
const documentAt = (url: string, { answer_bytes }: TokenLimits): Effect.Effect<unknown, KeysUnavailable> =>
  Effect.gen(function* () {
    const request = HttpClientRequest.get(url, { headers: { accept: "application/json" } })
    const response = yield* HttpClient.withScope(yield* HttpClient.HttpClient).execute(request)
    if (response.status !== 200) return yield* unavailable(`${url} answers HTTP ${response.status}`)
    const parts: Array<Uint8Array> = []
    let length = 0
    yield* Stream.runForEachWhile(response.stream, (part) =>
      Effect.sync(() => {
        parts.push(part)
        length += part.length
        return length <= answer_bytes
      }),
    )
    if (length > answer_bytes) return yield* unavailable(`${url} answers more than ${answer_bytes} bytes`)
    return yield* parsed(Buffer.concat(parts).toString(), url)
  }).pipe(
    Effect.scoped,
    Effect.provideContext(client),
    Effect.catchTag("HttpClientError", (error) => Effect.fail(unavailable(`${url} does not respond`, causeOf(error)))),
  )

/** `fetch` says what was wrong in the cause of its error. */
const causeOf = (error: Error): unknown => {
  let cause: unknown = error
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
  return cause
}

const parsed = (text: string, where: string): Effect.Effect<unknown, KeysUnavailable> => {
  const json = parseJsonText(text)
  if (Result.isFailure(json)) return Effect.fail(unavailable(`${where} is no JSON`, json.failure))
  return isNestedTooDeeply(json.success, text.length)
    ? Effect.fail(unavailable(`${where} is nested too deeply`))
    : Effect.succeed(json.success)
}

const Configuration = Schema.Struct({ issuer: Schema.String, jwks_uri: Schema.String })

/** Where an issuer says that its keys are. */
const discovered = Effect.fnUntraced(function* (issuer: string, limits: TokenLimits, isInsecure: boolean) {
  const url = `${canonicalIssuer(issuer)}/.well-known/openid-configuration`
  const { issuer: said, jwks_uri } = yield* Schema.decodeUnknownEffect(Configuration)(
    yield* documentAt(url, limits),
  ).pipe(Effect.catchTag("SchemaError", (error) => Effect.fail(unavailable(`${url} is no configuration`, error))))
  if (canonicalIssuer(said) !== canonicalIssuer(issuer))
    return yield* unavailable(`${url} is of another issuer, ${said}`)
  if (!isSafeAddress(jwks_uri, isInsecure))
    return yield* unavailable(`${url} has its keys at ${jwks_uri}, which is not https`)
  return jwks_uri
})

const JwkSet = Schema.Struct({ keys: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) })
const Jwk = Schema.Struct({
  kty: Schema.Literals(["RSA", "EC", "OKP"]),
  kid: Schema.optionalKey(Schema.String),
  alg: Schema.optionalKey(Schema.String),
  use: Schema.optionalKey(Schema.String),
  key_ops: Schema.optionalKey(Schema.Array(Schema.String)),
  crv: Schema.optionalKey(Schema.String),
  x: Schema.optionalKey(Schema.String),
  y: Schema.optionalKey(Schema.String),
  n: Schema.optionalKey(Schema.String),
  e: Schema.optionalKey(Schema.String),
})
const asJwk = Schema.decodeUnknownResult(Jwk)

/** The keys of a JWK set that check signatures. At least one must be there. */
const keysOf = Effect.fnUntraced(function* (document: unknown, where: string, most: number) {
  const { keys } = yield* Schema.decodeUnknownEffect(JwkSet)(document).pipe(
    Effect.catchTag("SchemaError", (error) => Effect.fail(unavailable(`${where} is no JWK set`, error))),
  )
  if (keys.length > most) return yield* unavailable(`${where} has more than ${most} keys`)
  const found = yield* Effect.forEach(keys, (key) => {
    const jwk = asJwk(key)
    return Result.isSuccess(jwk) ? verifyKey(jwk.success) : Effect.succeed([])
  })
  const usable = found.flat()
  return usable.length > 0 ? usable : yield* unavailable(`${where} has no key that checks signatures`)
})

const verifyKey = ({ key_ops, ...rest }: typeof Jwk.Type): Effect.Effect<ReadonlyArray<VerifyKey>> => {
  const jwk: JWK = key_ops === undefined ? rest : { ...rest, key_ops: [...key_ops] }
  const algorithms = algorithmsOf(jwk)
  if (algorithms.length === 0) return Effect.succeed([])
  // One that can't be read has no thumbprint.
  return Effect.tryPromise(() => calculateJwkThumbprint(jwk)).pipe(
    Effect.map((id) => [{ id, kid: jwk.kid, algorithms, key: Object.freeze(jwk) }]),
    Effect.orElseSucceed(() => []),
  )
}

/** A public key, or a certificate, as PEM. It checks whatever its kind can: no kid is asked for. */
export const pemKey = (text: string, where: string): Source =>
  Effect.try({
    try: () => createPublicKey(text).export({ format: "jwk" }),
    catch: (cause) => unavailable(`${where} is no public key as PEM`, cause),
  }).pipe(Effect.flatMap((jwk) => keysOf({ keys: [jwk] }, where, 1)))

type FileOfKeys = Extract<IssuerSettings["keys"], { readonly _tag: "File" }>

const fileKeys = Effect.fnUntraced(function* ({ path, setting }: FileOfKeys, limits: TokenLimits) {
  // What is set instead of a public key may be a secret, and no path.
  const where = setting === "NIMBUS_AUTH_PUBLIC_KEY" ? "that it names" : path
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => unavailable(`the file ${where} can't be read`, cause),
  })
  if (text.includes("PRIVATE KEY"))
    return yield* unavailable(`the file ${path} has a private key: only public ones belong here`)
  return yield* text.includes("-----BEGIN") ? pemKey(text, path) : keysOf(yield* parsed(text, path), path, limits.keys)
})

const secretKey = (secret: Redacted.Redacted): ReadonlyArray<VerifyKey> => [
  { id: "secret", kid: undefined, algorithms: secretAlgorithms, key: new TextEncoder().encode(Redacted.value(secret)) },
]

/** The keys of an issuer, and whether they may change. */
export const sourceOf = (
  { issuer, keys }: IssuerSettings,
  limits: TokenLimits,
  isInsecure: boolean,
): { readonly source: Source; readonly every_ms: number | undefined } => {
  const fetched = (source: Source) => ({ source: inTime(source, issuer, limits), every_ms: limits.keys_refresh_ms })
  switch (keys._tag) {
    case "Discovery":
      return fetched(Effect.flatMap(discovered(issuer, limits, isInsecure), (url) => keysAt(url, limits)))
    case "Url":
      return fetched(keysAt(keys.url, limits))
    case "File":
      return { source: fileKeys(keys, limits), every_ms: limits.file_refresh_ms }
    case "Pem":
      return { source: pemKey(keys.text, "it"), every_ms: undefined }
    case "Secret":
      return { source: Effect.succeed(secretKey(keys.secret)), every_ms: undefined }
  }
}

const keysAt = (url: string, limits: TokenLimits): Source =>
  Effect.flatMap(documentAt(url, limits), (document) => keysOf(document, url, limits.keys))

const inTime = (source: Source, issuer: string, { fetch_timeout_ms }: TokenLimits): Source =>
  Effect.timeoutOrElse(source, {
    duration: fetch_timeout_ms,
    orElse: () => Effect.fail(unavailable(`${issuer} did not answer within ${fetch_timeout_ms} ms`)),
  })
