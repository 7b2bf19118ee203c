/**
 * The locks, as `NIMBUS_AUTH_…` says: who is let in, and by what. Without any of it there is no `Authenticator`, and code
 * that works without one looks whether there is one. The libraries for them are imported only if they are used.
 */
import { Authenticator } from "@nimbus/domain/services"
import { Unauthenticated } from "@nimbus/domain/errors"
import { Config, Context, Effect, Layer, Option, Schema } from "effect"
import { load } from "./Libraries.ts"
import { tokenLimits } from "./Limits.ts"
import { watched } from "./RuleFile.ts"
import { config as tokenConfig, type TokenSettings } from "./tokens/Settings.ts"

/** What counts here, and what of it. */
export interface LockSettings {
  readonly tokens: TokenSettings
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

/** `undefined`: there are no locks. */
export const config: Config.Config<LockSettings | undefined> = Config.flatMap(
  tokenConfig,
  (tokens): Config.Config<LockSettings | undefined> =>
    tokens === undefined
      ? Config.map(Config.all([alone("NIMBUS_AUTH_RULES"), alone("NIMBUS_AUTH_CLAIMS")]), () => undefined)
      : Config.all({
          tokens: Config.succeed(tokens),
          rules: Config.map(Config.option(Config.schema(Path, "NIMBUS_AUTH_RULES")), Option.getOrUndefined),
          claims: Config.map(Config.schema(Names, "NIMBUS_AUTH_CLAIMS"), namesOf).pipe(Config.withDefault([])),
        }),
)

/** Provides `Authenticator` if there are locks. Its type does not say so, because there may be none. */
export const layerWith = (settings: LockSettings | undefined) =>
  Layer.effectContext(
    settings === undefined
      ? Effect.succeed(Context.empty())
      : Effect.map(make(settings), (authenticator) => Context.make(Authenticator, authenticator)),
  )

/** As the environment says. */
export const layer = Layer.unwrap(Effect.map(config, layerWith))

const make = Effect.fnUntraced(function* ({ claims, rules, tokens: settings }: LockSettings) {
  const identity = {
    claims,
    rules: yield* watched(rules, tokenLimits.file_refresh_ms),
    limits: tokenLimits,
  }
  const { TokenAuthenticator } = yield* load(["tokens"], () => import("./tokens/index.ts"))
  const tokens = yield* TokenAuthenticator.make(settings, { identity })
  return Authenticator.of({
    authenticate: ({ token }) => (token === undefined ? Effect.fail(missing) : tokens.authenticate(token)),
    isKnown: tokens.isKnown,
  })
})

const missing = new Unauthenticated({ code: "TOKEN_MISSING", reason: "no token came" })
