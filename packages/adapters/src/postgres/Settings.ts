/** Where PostgreSQL is, as the environment says. */
import { Config, Option, Redacted, Schema } from "effect"
import { isDecodable } from "../Decodable.ts"

/** Where PostgreSQL is, and which schema holds the tables. */
export interface PostgresSettings {
  /** `postgres://user:password@host:port/database`, with `?sslmode=…` for TLS. */
  readonly url: Redacted.Redacted
  /** Where all tables are: installations that share a database have different ones. */
  readonly schema: string
}

const Url = Schema.String.check(
  Schema.makeFilter(
    (text) => isUrl(text) || "must be postgres://user:password@host:port/database, with %25 for a % in any of them",
  ),
  Schema.makeFilter(
    (text) =>
      asksForTlsAsWeDo(text) ||
      `must speak of TLS by sslmode alone (${sslModes.join(", ")}); NODE_EXTRA_CA_CERTS names an authority of your own`,
  ),
)
const Name = Schema.String.check(Schema.isPattern(/^[a-z_][a-z0-9_]{0,62}$/))

/** From `NIMBUS_POSTGRES_…`; see docs/configuration.md. */
export const config: Config.Config<PostgresSettings> = Config.all({
  url: Config.option(Config.schema(Url, "NIMBUS_POSTGRES_URL")),
  alias: Config.option(Config.schema(Url, "POSTGRES_URL")),
  schema: Config.schema(Name, "NIMBUS_POSTGRES_SCHEMA").pipe(Config.withDefault("nimbus")),
}).pipe(
  Config.map(({ alias, schema, url }) => ({
    url: Redacted.make(
      Option.getOrElse(
        Option.orElse(url, () => alias),
        () => "postgres://127.0.0.1:5432/nimbus",
      ),
    ),
    schema,
  })),
)

/** For messages: no secrets. */
export const where = ({ url }: PostgresSettings): string => {
  const { host, pathname } = new URL(Redacted.value(url))
  return `${host}${pathname}`
}

const isUrl = (text: string): boolean => {
  const url = URL.parse(text)
  return (
    url !== null &&
    /^postgres(ql)?:$/.test(url.protocol) &&
    url.hostname !== "" &&
    [url.username, url.password, url.pathname].every(isDecodable)
  )
}

/** All but the last check the certificate and its host. */
const sslModes = ["require", "verify-ca", "verify-full", "disable"]

/**
 * What other programs know, `ssl=true` and the like, is not passed over: the connection would be in clear text. So it
 * would be with `prefer` and `allow`, whoever it is that says there is no TLS.
 */
const asksForTlsAsWeDo = (text: string): boolean =>
  [...(URL.parse(text)?.searchParams ?? [])].every(
    ([name, value]) => !/^(ssl|tls)/i.test(name) || (name === "sslmode" && sslModes.includes(value)),
  )
