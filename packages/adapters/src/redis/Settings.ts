/** The address of Redis and its credentials, from the environment. */
import { Array as Arr, Config, Option, Redacted, Schema, String as Str } from "effect"
import { isDecodable } from "../Decodable.ts"

export interface Node {
  readonly host: string
  readonly port: number
}

/** The address of Redis, and its credentials. */
export interface RedisSettings {
  /** A single server, or some nodes of a Redis Cluster, which know the others. */
  readonly nodes: Arr.NonEmptyReadonlyArray<Node>
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
  readonly tls: boolean
  /** The database of a single server. A cluster has only 0. */
  readonly db: number
  /** The prefix of all keys and channels. Installations that share a Redis have different ones. */
  readonly prefix: string
}

/** A single server with default options, from `host:port` or a URL. */
export const settingsOf = (address: string): RedisSettings => ({ ...fromAddresses(address), prefix: "nimbus" })

/** The address for messages, without secrets. */
export const where = ({ nodes }: RedisSettings): string => nodes.map(({ host, port }) => `${host}:${port}`).join(",")

/** `host:port`, `redis://[user]:password@host:port/db`, the same with `rediss:` for TLS, or a list of them. */
const Addresses = Schema.String.check(
  Schema.makeFilter(
    (text) =>
      areAddresses(text.split(",")) ||
      "must be host:port or redis://…, or several of them with commas; in a user or password write %2C for a comma and %25 for a %, or set NIMBUS_REDIS_PASSWORD",
  ),
)
const Db = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Prefix = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._:-]+$/))

/**
 * From `NIMBUS_REDIS_…`; see docs/configuration.md. A separate setting takes precedence over the address, but no
 * setting turns off TLS if the address has it.
 */
export const config: Config.Config<RedisSettings> = Config.all({
  address: Config.option(Config.schema(Addresses, "NIMBUS_REDIS_ADDRESS")),
  alias: Config.option(Config.schema(Addresses, "REDIS_URL")),
  username: Config.option(Config.NonEmptyString("NIMBUS_REDIS_USERNAME")),
  password: Config.option(Config.Redacted("NIMBUS_REDIS_PASSWORD")),
  tls: Config.Boolean("NIMBUS_REDIS_TLS").pipe(Config.withDefault(false)),
  db: Config.option(Config.schema(Db, "NIMBUS_REDIS_DB")),
  prefix: Config.schema(Prefix, "NIMBUS_REDIS_PREFIX").pipe(Config.withDefault("nimbus")),
}).pipe(
  Config.map(({ address, alias, db, password, prefix, tls, username }) => {
    const said = fromAddresses(
      Option.getOrElse(
        Option.orElse(address, () => alias),
        () => "127.0.0.1:6379",
      ),
    )
    return {
      nodes: said.nodes,
      username: Option.getOrElse(username, () => said.username),
      password: Option.getOrElse(password, () => said.password),
      tls: tls || said.tls,
      db: Option.getOrElse(db, () => said.db),
      prefix,
    }
  }),
)

const urlOf = (address: string): string => {
  const text = address.trim()
  return /^rediss?:\/\//.test(text) ? text : `redis://${text}`
}

/**
 * A comma within a password splits one address into two. Both may be valid addresses: then the second has the user that
 * the first should have.
 */
const areAddresses = (texts: ReadonlyArray<string>): boolean => {
  const [first, ...others] = texts.map((text) => URL.parse(urlOf(text)))
  if (![first, ...others].every(isAddress)) return false
  return hasUser(first) || !others.some(hasUser)
}

const isAddress = (url: URL | null | undefined): boolean =>
  url !== null &&
  url !== undefined &&
  url.hostname !== "" &&
  /^\/?\d*$/.test(url.pathname) &&
  isDecodable(url.username) &&
  isDecodable(url.password)

const hasUser = (url: URL | null | undefined): boolean =>
  url !== null && url !== undefined && (url.username !== "" || url.password !== "")

/** The user, password and database of the first address apply to all, and so does TLS if any address has it. */
const fromAddresses = (text: string): Omit<RedisSettings, "prefix"> => {
  const urls = Arr.map(Str.split(text, ","), (address) => new URL(urlOf(address)))
  const { password, pathname, username } = urls[0]
  return {
    nodes: Arr.map(urls, ({ hostname, port }) => ({
      host: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? 6379 : Number(port),
    })),
    username: username === "" ? undefined : decodeURIComponent(username),
    password: password === "" ? undefined : Redacted.make(decodeURIComponent(password)),
    tls: urls.some(({ protocol }) => protocol === "rediss:"),
    db: Number(pathname.replace("/", "")),
  }
}
