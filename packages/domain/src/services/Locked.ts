/**
 * Whether the settings ask for locks, so that what only locks need is there: the topics of the revocations and of the
 * audit. Who is let in, `Authenticator` decides.
 */
import { Config, Option } from "effect"

/** Each of these alone may bring identities: an issuer of tokens, a hook, certificates of clients. */
const bringing = ["NIMBUS_AUTH_ISSUER", "NIMBUS_AUTH_HOOK", "NIMBUS_TLS"] as const

/** One of the settings is there that bring identities. */
export const isLocked: Config.Config<boolean> = Config.map(
  Config.all(bringing.map((name) => Config.option(Config.NonEmptyString(name)))),
  (values) => values.some(Option.isSome),
)

/** The issuer whose subjects are clients by their own names: the first of `NIMBUS_AUTH_ISSUER`. */
export const firstIssuer: Config.Config<string | undefined> = Config.map(
  Config.option(Config.NonEmptyString("NIMBUS_AUTH_ISSUER")),
  (issuers) => Option.getOrUndefined(issuers)?.split(",")[0]?.trim(),
)
