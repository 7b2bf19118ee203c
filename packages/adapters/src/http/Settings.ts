/**
 * The handlers and tasks that HTTP services have, as the environment says.
 *
 * ```
 *   orders=https://…                 a handler
 *   ask=task:https://…               a task, each of whose attempts begins from the start
 *   ask=task+resumes:https://…       a task that goes on behind the parts that it has published
 *   ask=task+strings:https://…       a task whose parts are strings and may be joined; `arrays` likewise
 * ```
 */
import { Config, Redacted, Schema } from "effect"

/** One of them. */
export interface HttpHandlerSettings {
  readonly name: string
  readonly url: string
  readonly secret: Redacted.Redacted
  /** How its task is run; `undefined`: it is a handler. */
  readonly task: HttpTaskSettings | undefined
}

/** How a task that an HTTP service has is run. */
export interface HttpTaskSettings {
  /** Whether the service goes on behind the parts that are published. */
  readonly resumes: boolean
  /** What its parts are, if they may be joined. */
  readonly combine: "strings" | "arrays" | undefined
}

/** What a task may say of itself. */
const kinds: Readonly<Record<string, HttpTaskSettings>> = {
  "task:": { resumes: false, combine: undefined },
  "task+resumes:": { resumes: true, combine: undefined },
  "task+strings:": { resumes: false, combine: "strings" },
  "task+arrays:": { resumes: false, combine: "arrays" },
}

/** The task that an address is said to be of, and the address. */
const kindOf = (rest: string): readonly [task: HttpTaskSettings | undefined, url: string] => {
  const kind = Object.keys(kinds).find((prefix) => rest.startsWith(prefix)) ?? ""
  return [kinds[kind], rest.slice(kind.length)]
}

/** `name=rest`, with commas. Of a text without `=` the name is empty. */
const pairsOf = (text: string): ReadonlyArray<readonly [name: string, rest: string]> =>
  text.split(",").map((item) => {
    const pair = item.trim()
    const end = Math.max(0, pair.indexOf("="))
    return [pair.slice(0, end), pair.slice(end === 0 ? 0 : end + 1)]
  })

/** Whether events can be sent there: `fetch` takes no user and no password in a URL. */
export const isTarget = (url: string): boolean => {
  const parsed = URL.parse(url)
  return /^https?:\/\//i.test(url) && parsed !== null && parsed.username === "" && parsed.password === ""
}

/** A secret of Standard Webhooks. */
export const isSecret = (secret: string): boolean => {
  const base64 = /^whsec_((?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(secret)?.[1]
  const bytes = Buffer.from(base64 ?? "", "base64").length
  return bytes >= 24 && bytes <= 64
}

const areUnique = (names: ReadonlyArray<string>): boolean => new Set(names).size === names.length

const Targets = Schema.String.check(
  Schema.makeFilter((text) => {
    const pairs = pairsOf(text)
    const areTargets = pairs.every(([name, rest]) => name !== "" && isTarget(kindOf(rest)[1]))
    return (
      (areTargets && areUnique(pairs.map(([name]) => name))) ||
      `must be name=https://host/path, or several of them with commas, each with another name; a task is name=${Object.keys(kinds).join("…, ")}…; in an address write %2C for a comma`
    )
  }),
)

/** By name; the name of the one for all others is empty. Base64 may end in `=`, and has it nowhere else. */
const namedSecrets = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split(",").map((item) => {
      const [, name = "", secret = ""] = /^(?:(.*?)=)??(whsec_.*)$/s.exec(item.trim()) ?? []
      return [name, secret]
    }),
  )

/** Secrets for all of these names. What the message says is logged: it has no secret in it. */
const secretsFor = (names: ReadonlyArray<string>) =>
  Schema.String.check(
    Schema.makeFilter((text) => {
      const secrets = namedSecrets(text)
      if (![...secrets.values()].every(isSecret))
        return "must be whsec_ and 24 to 64 bytes in base64; for single handlers orders=whsec_…, with commas"
      const without = secrets.has("") ? undefined : names.find((name) => !secrets.has(name))
      return without === undefined || `must have a secret for ${without}`
    }),
  )

const targets = Config.schema(Targets, "NIMBUS_HANDLERS_HTTP").pipe(
  Config.map(pairsOf),
  Config.withDefault<ReadonlyArray<readonly [name: string, rest: string]>>([]),
)

/** `NIMBUS_HANDLERS_HTTP`, each with its secret from `NIMBUS_HANDLERS_HTTP_SECRET`: see docs/configuration.md. */
export const config: Config.Config<ReadonlyArray<HttpHandlerSettings>> = targets.pipe(
  Config.flatMap((targets): Config.Config<ReadonlyArray<HttpHandlerSettings>> => {
    if (targets.length === 0) return Config.succeed([])
    const names = targets.map(([name]) => name)
    return Config.map(Config.schema(secretsFor(names), "NIMBUS_HANDLERS_HTTP_SECRET"), (text) => {
      const secrets = namedSecrets(text)
      const secretOf = (name: string) => Redacted.make(secrets.get(name) ?? secrets.get("") ?? "")
      return targets.map(([name, rest]) => {
        const [task, url] = kindOf(rest)
        return { name, url, secret: secretOf(name), task }
      })
    })
  }),
)
