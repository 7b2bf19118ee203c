/**
 * The locks, as `NIMBUS_AUTH_…` and `NIMBUS_TLS` say: who is let in, and by what.
 *
 * ```
 *   a token ───────▶ its issuer's keys, or the hook where no issuer is named ──┐
 *   a certificate ─▶ its names, where clients' certificates are checked ───────┴─▶ the hook, if there is one ─▶ a principal
 * ```
 *
 * Without any of it there is no `Authenticator`, and code that works without one looks whether there is one. The libraries
 * for them are imported only if they are used.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { Unauthenticated } from "@nimbus/domain/errors"
import { Authenticator } from "@nimbus/domain/services"
import { Config, Context, Effect, Layer, Option, Result, Schema } from "effect"
import { holderOf } from "./CertificateIdentity.ts"
import { LocksBad } from "./Errors.ts"
import type { Target } from "./http/Calls.ts"
import { config as hookConfig } from "./http/HookSettings.ts"
import type { IdentityOptions } from "./Identity.ts"
import { load } from "./Libraries.ts"
import { type TokenLimits, tokenLimits } from "./Limits.ts"
import { watched } from "./RuleFile.ts"
import { config as tokenConfig, type TokenSettings } from "./tokens/Settings.ts"
import type { TokenOptions } from "./tokens/TokenAuthenticator.ts"

/** What counts here, and what of it. At least one of the first three is there. */
export interface LockSettings {
  /** `undefined`: no tokens of issuers count. */
  readonly tokens: TokenSettings | undefined
  /** Who is asked besides, or instead. */
  readonly hook: Target | undefined
  /** The directory with the certificates of the server. While `ca.crt` is in it, certificates of clients count. */
  readonly tls: string | undefined
  /** The file with the rules. */
  readonly rules: string | undefined
  /** Names of claims that handlers get. */
  readonly claims: ReadonlyArray<string>
}

const namesOf = (text: string): ReadonlyArray<string> => text.split(",").map((name) => name.trim())

const Names = Schema.String.check(
  Schema.makeFilter(
    (text) => namesOf(text).every((name) => name !== "") || "must be names of claims with commas between them",
  ),
)
const Path = Schema.String.check(Schema.makeFilter((text) => text.trim() !== "" || "must be the path of a file"))

/** What is said of those who come in says nothing where nobody has to show anything. */
const alone = (name: string) =>
  Config.option(Config.schema(Schema.String.check(Schema.makeFilter(() => withoutLocks)), name))
const withoutLocks = "must be set with what lets somebody in, as NIMBUS_AUTH_ISSUER does: see docs/security.md"

const ways = Config.all({
  tokens: tokenConfig,
  hook: hookConfig,
  tls: Config.map(Config.option(Config.NonEmptyString("NIMBUS_TLS")), Option.getOrUndefined),
})

/** `undefined`: there are no locks. */
export const config: Config.Config<LockSettings | undefined> = Config.flatMap(
  ways,
  (ways): Config.Config<LockSettings | undefined> =>
    ways.tokens === undefined && ways.hook === undefined && ways.tls === undefined
      ? Config.map(Config.all([alone("NIMBUS_AUTH_RULES"), alone("NIMBUS_AUTH_CLAIMS")]), () => undefined)
      : Config.map(
          Config.all({
            rules: Config.map(Config.option(Config.schema(Path, "NIMBUS_AUTH_RULES")), Option.getOrUndefined),
            claims: Config.map(Config.schema(Names, "NIMBUS_AUTH_CLAIMS"), namesOf).pipe(Config.withDefault([])),
          }),
          (said) => ({ ...ways, ...said }),
        ),
)

/**
 * Whether there are locks by certificates alone: an authority of clients is there at the start. Whose certificate counts
 * from then on is TLS's to say, which looks for `ca.crt` again and again.
 */
const startsWithAuthority = ({ tls }: LockSettings): boolean => tls !== undefined && existsSync(join(tls, "ca.crt"))

/** Provides `Authenticator` if there are locks. Its type does not say so, because there may be none. */
export const layerWith = (settings: LockSettings | undefined, limits: Partial<TokenLimits> = {}) =>
  Layer.effectContext(
    Effect.gen(function* () {
      if (settings === undefined) return Context.empty()
      if (settings.tokens !== undefined || settings.hook !== undefined || startsWithAuthority(settings))
        return Context.make(Authenticator, yield* make(settings, { ...tokenLimits, ...limits }))
      const [setting] = [
        ...(settings.rules === undefined ? [] : ["NIMBUS_AUTH_RULES"]),
        ...(settings.claims.length === 0 ? [] : ["NIMBUS_AUTH_CLAIMS"]),
      ]
      return setting === undefined ? Context.empty() : yield* new LocksBad({ setting, reason: withoutLocks })
    }),
  )

/** As the environment says. */
export const layer = Layer.unwrap(Effect.map(config, (settings) => layerWith(settings)))

const make = Effect.fnUntraced(function* (settings: LockSettings, limits: TokenLimits) {
  const rules = yield* watched(settings.rules, limits.file_refresh_ms)
  const identity: IdentityOptions = { claims: settings.claims, rules, limits }
  const tokens = settings.tokens && (yield* tokensOf(settings.tokens, { identity, limits }))
  const hook = settings.hook && (yield* hookOf(settings.hook, identity))
  // Only one that an authority in this directory has signed comes here: there is no second opinion that could be older.
  const takesCertificates = settings.tls !== undefined

  const known: Authenticator["Service"]["authenticate"] = ({ certificate, token }) => {
    if (token !== undefined) return tokens?.authenticate(token) ?? Effect.fail(invalid("no tokens count here"))
    if (certificate === undefined || !takesCertificates) return Effect.fail(missing)
    const holder = holderOf(certificate, identity)
    return Result.isSuccess(holder) ? Effect.succeed(holder.success) : Effect.fail(invalid(holder.failure))
  }
  return Authenticator.of({
    authenticate: (shown, attempt) => {
      if (hook === undefined) return known(shown)
      // Where no issuer is named, a token is the hook's alone.
      if (tokens === undefined && shown.token !== undefined) return hook.identify(shown.token, attempt)
      return Effect.flatMap(known(shown), (principal) => hook.confirm(principal, attempt))
    },
    isKnown: (principal) => tokens?.isKnown(principal) ?? true,
  })
})

const tokensOf = (settings: TokenSettings, options: TokenOptions) =>
  Effect.flatMap(
    load(["tokens"], () => import("./tokens/index.ts")),
    ({ TokenAuthenticator }) => TokenAuthenticator.make(settings, options),
  )

const hookOf = (target: Target, identity: IdentityOptions) =>
  Effect.flatMap(
    load(["http"], () => import("./http/index.ts")),
    ({ ConnectHook }) => ConnectHook.make(target, identity),
  )

const missing = new Unauthenticated({ code: "TOKEN_MISSING", reason: "no token came" })
const invalid = (reason: string) => new Unauthenticated({ code: "TOKEN_INVALID", reason })
