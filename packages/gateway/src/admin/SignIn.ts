/**
 * How the page signs in by the identity provider: where it sends the browser, and where it gets the token.
 *
 * ```
 *   page ── /v1/admin/page ──▶ gateway ── the issuer's OpenID configuration ──▶ provider
 *    │  ◀── client, endpoints ──┘             (kept for a while)
 *    ├── authorization endpoint: code with PKCE ──▶ provider ──▶ /sign-in
 *    └── token endpoint, by the browser alone ──▶ token
 * ```
 *
 * The browser is a public client: the gateway has no secret of it and sees neither code nor token until the page shows the
 * token as every other one is shown. The provider must let pages of this origin ask its token endpoint (CORS).
 */
import { canonicalIssuer, isSafeAddress } from "@nimbus/domain/access"
import { PageView, type SignInView } from "@nimbus/domain/admin"
import { logFailure } from "@nimbus/domain/services"
import { Clock, Config, Context, Effect, Layer, Option, Schema, Semaphore } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Access } from "../access/Access.ts"
import { insecureConfig } from "../access/Exposure.ts"

/** From the settings. */
export interface SignInOptions {
  readonly issuer: string
  /** As the provider knows the page. */
  readonly clientId: string
  /** For whom the token is to be. */
  readonly audience: string | undefined
  readonly scope: string
  /** The provider may be asked, and shown the browser's code, by plain `http` on other machines too. */
  readonly isInsecure?: boolean | undefined
}

const Provider = Schema.Struct({
  issuer: Schema.String,
  authorization_endpoint: Schema.String,
  token_endpoint: Schema.String,
  id_token_signing_alg_values_supported: Schema.optionalKey(Schema.Array(Schema.String)),
})
const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Provider))

const optional = (name: string) => Config.map(Config.option(Config.NonEmptyString(name)), Option.getOrUndefined)

const withIssuer = (has: boolean) =>
  Schema.String.check(
    Schema.makeFilter((text) => /^\S+$/.test(text) || "must be the id of a client, without spaces"),
    Schema.makeFilter(() => has || "must be set with NIMBUS_AUTH_ISSUER: see docs/security.md"),
  )

/** The first of several, which has no name. */
const firstOf = (list: string | undefined) => list?.split(",", 1)[0]?.trim()

/** `NIMBUS_ADMIN_OIDC_CLIENT_ID`, `NIMBUS_ADMIN_OIDC_SCOPE` (openid). Undefined: the page takes a token alone. */
export const config: Config.Config<SignInOptions | undefined> = Config.flatMap(
  Config.all([optional("NIMBUS_AUTH_ISSUER"), optional("NIMBUS_AUTH_AUDIENCE"), insecureConfig]),
  ([issuers, audiences, isInsecure]) =>
    Config.all({
      clientId: Config.option(Config.schema(withIssuer(issuers !== undefined), "NIMBUS_ADMIN_OIDC_CLIENT_ID")),
      scope: Config.NonEmptyString("NIMBUS_ADMIN_OIDC_SCOPE").pipe(Config.withDefault("openid")),
    }).pipe(
      Config.map(({ clientId, scope }) =>
        Option.isNone(clientId)
          ? undefined
          : {
              issuer: firstOf(issuers) ?? "",
              clientId: clientId.value,
              audience: firstOf(audiences),
              scope,
              isInsecure,
            },
      ),
    ),
)

export class SignIn extends Context.Service<
  SignIn,
  {
    /** Undefined: not by a provider, or it can't be asked now. */
    readonly view: Effect.Effect<SignInView | undefined>
  }
>()("@nimbus/gateway/SignIn") {
  static readonly layerWith = (options: SignInOptions | undefined) =>
    options === undefined
      ? Layer.succeed(SignIn, { view: Effect.succeed(undefined) })
      : Layer.effect(SignIn, make(options))
}

/** How long what the provider says is kept, and how long that it says nothing. */
const kept_ms = 3_600_000
const away_ms = 5_000
/** How long it may take. */
const patience_ms = 3_000
/** What it may say. Beyond: it counts as none. */
const answer_bytes = 256 * 1024

/** What the provider says of itself. A redirect may lead anywhere: none is followed. */
const textAt = async (url: string, signal: AbortSignal): Promise<string> => {
  const response = await fetch(url, { signal, redirect: "error" })
  if (!response.ok) {
    await response.body?.cancel()
    throw new Error(`${url} answers HTTP ${response.status}`)
  }
  const parts: Array<Uint8Array> = []
  let length = 0
  for await (const part of response.body ?? []) {
    parts.push(part)
    length += part.length
    if (length > answer_bytes) throw new Error(`${url} answers more than ${answer_bytes} bytes`)
  }
  return Buffer.concat(parts).toString()
}

/** Why it must not sign anybody in; undefined: it may. */
const faultOf = (provider: typeof Provider.Type, issuer: string, isInsecure: boolean): string | undefined => {
  if (canonicalIssuer(provider.issuer) !== canonicalIssuer(issuer)) return `it says that it is ${provider.issuer}`
  const unsafe = [issuer, provider.authorization_endpoint, provider.token_endpoint].find(
    (address) => !isSafeAddress(address, isInsecure),
  )
  return unsafe === undefined ? undefined : `${unsafe} is not https`
}

const make = Effect.fnUntraced(function* ({ audience, clientId, isInsecure = false, issuer, scope }: SignInOptions) {
  const one = yield* Semaphore.make(1)
  let view: SignInView | undefined
  let until_ms = Number.NEGATIVE_INFINITY

  const ask = Effect.gen(function* () {
    const url = `${canonicalIssuer(issuer)}/.well-known/openid-configuration`
    const provider = yield* decode(yield* Effect.tryPromise((signal) => textAt(url, signal)))
    const fault = faultOf(provider, issuer, isInsecure)
    if (fault !== undefined) return yield* Effect.fail(fault)
    const idTokenAlgorithms = provider.id_token_signing_alg_values_supported
    return {
      issuer: provider.issuer,
      clientId,
      ...(audience !== undefined && { audience }),
      scope,
      authorizationEndpoint: provider.authorization_endpoint,
      tokenEndpoint: provider.token_endpoint,
      ...(idTokenAlgorithms !== undefined && { idTokenAlgorithms }),
    }
  }).pipe(Effect.timeout(patience_ms))

  const look = Effect.gen(function* () {
    if ((yield* Clock.currentTimeMillis) < until_ms) return view
    // What was known before goes on to count while the provider is away.
    const found = yield* ask.pipe(
      Effect.tapError((error) => logFailure("ask the identity provider where the page signs in", error)),
      Effect.option,
    )
    view = Option.getOrElse(found, () => view)
    until_ms = (yield* Clock.currentTimeMillis) + (Option.isSome(found) ? kept_ms : away_ms)
    return view
  })
  return SignIn.of({ view: Semaphore.withPermits(one, 1, look) })
})

const respond = HttpServerResponse.schemaJson(PageView)

/** `GET /v1/admin/page`, without a token: no secret is in it. */
export const routesWith = ({ hasClients }: { readonly hasClients: boolean }) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const signIn = yield* SignIn
      const { isOpen } = yield* Access
      const answer = Effect.flatMap(signIn.view, (view) =>
        Effect.orDie(respond({ hasLocks: !isOpen, hasClients, ...(view !== undefined && { signIn: view }) })),
      )
      yield* router.add("GET", "/v1/admin/page", answer)
    }),
  )
