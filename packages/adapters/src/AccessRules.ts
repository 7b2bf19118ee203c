/**
 * Capabilities that the provider can't put into its tokens: a file says who has them.
 *
 * ```json
 * {
 *   "defaults": ["connect:{sub}", "read", "ack"],
 *   "rules": [
 *     { "match": { "groups": "staff" }, "capabilities": ["room:join:*", "room:publish:staff.*"] },
 *     { "match": { "sub": ["alice", "bob"] }, "capabilities": ["admin:operator"] },
 *     { "issuer": "certificate", "match": { "sub": "spiffe://acme/device/*" }, "capabilities": ["connect:*"] }
 *   ]
 * }
 * ```
 *
 * 1. A rule gives its capabilities to whoever matches: each of its claims has one of the values, or has it in a list. A `*`
 *    at the end of a text matches all that begin so. A rule without `match` is for everybody.
 * 2. Rules add to what the token says, and take nothing away. `defaults` stand for what a token without a `nimbus` claim
 *    says.
 * 3. A rule is for subjects of the first issuer, unless it names another one: the same name is somebody else there. `*` is
 *    every issuer.
 * 4. An issuer beside the first speaks for its own subjects alone. Its claims make nobody an operator, and nobody a client
 *    of others: only rules that name the issuer give `admin:…`, and other clients in `connect:…` are its own.
 *
 * An array is the same as its `rules`.
 */
import { adminRoles, defaults, Grants } from "@nimbus/domain/access"
import { clientIdUnsafe } from "@nimbus/domain/protocol"
import { parseJsonText } from "@nimbus/domain/json"
import { Result, Schema } from "effect"

const Value = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])
const Rule = Schema.Struct({
  issuer: Schema.optionalKey(Schema.String),
  match: Schema.optionalKey(Schema.Record(Schema.String, Schema.Union([Value, Schema.Array(Value)]))),
  capabilities: Schema.Array(Schema.String),
})
const File = Schema.Struct({
  defaults: Schema.optionalKey(Schema.Array(Schema.String)),
  rules: Schema.Array(Rule),
})
const Rules = Schema.Union([File, Schema.Array(Rule)])
const decode = Schema.decodeUnknownResult(Rules, { onExcessProperty: "error" })

export type RuleFile = typeof File.Type
type Rule = typeof Rule.Type
type Value = typeof Value.Type

/** Without a file. */
export const noRules: RuleFile = { rules: [] }

/** What a file says, or what is wrong with it. */
export const parse = (text: string): Result.Result<RuleFile, string> => {
  const json = parseJsonText(text)
  if (Result.isFailure(json)) return Result.fail(`it is no JSON: ${json.failure}`)
  const decoded = decode(json.success)
  if (Result.isFailure(decoded)) return Result.fail(String(decoded.failure))
  const file: RuleFile = "rules" in decoded.success ? decoded.success : { rules: decoded.success }
  for (const capabilities of [file.defaults ?? [], ...file.rules.map(({ capabilities }) => capabilities)]) {
    const grants = Grants.parse(capabilities, anybody)
    if (Result.isFailure(grants)) return Result.fail(`there is no capability ${grants.failure}`)
  }
  return Result.succeed(file)
}

/** Capabilities are checked as somebody's. */
const anybody = clientIdUnsafe("somebody")

/** What somebody may do: by the token, or otherwise by default, and by the rules. `issuer`: the first has no name. */
export const capabilitiesOf = (
  file: RuleFile,
  issuer: string | undefined,
  claims: Readonly<Record<string, unknown>>,
  said: ReadonlyArray<string> | undefined,
): ReadonlyArray<string> => {
  const found = file.rules.filter((rule) => isFor(rule, issuer) && matches(rule, claims))
  const byRules = (rules: ReadonlyArray<Rule>) => rules.flatMap(({ capabilities }) => capabilities)
  const usual = file.defaults ?? defaults
  if (issuer === undefined) return [...(said ?? usual), ...byRules(found)]
  const general = [
    ...(said?.filter((capability) => !isOfOthers(capability, issuer)) ?? usual),
    ...byRules(found.filter((rule) => rule.issuer !== issuer)),
  ]
  return [
    ...general.filter((capability) => !isRole(capability)),
    ...byRules(found.filter((rule) => rule.issuer === issuer)),
  ]
}

const isRole = (capability: string): boolean => adminRoles.some((role) => capability === `admin:${role}`)

const connect = "connect:"

/** Whether it allows to connect as a client that is none of this issuer's. */
const isOfOthers = (capability: string, issuer: string): boolean => {
  const target = capability.startsWith(connect) ? capability.slice(connect.length) : ""
  return target !== "" && !target.startsWith("{sub}") && !target.startsWith(`at.${issuer}.`)
}

const isFor = ({ issuer }: Rule, of: string | undefined): boolean => issuer === "*" || issuer === of

const matches = ({ match = {} }: Rule, claims: Readonly<Record<string, unknown>>): boolean =>
  Object.entries(match).every(([name, wanted]) => {
    const has = claimOf(claims, name)
    const values: ReadonlyArray<unknown> = Array.isArray(has) ? has : [has]
    return [wanted].flat().some((value) => values.some((one) => isLike(one, value)))
  })

const isLike = (value: unknown, wanted: Value): boolean =>
  typeof wanted === "string" && wanted.endsWith("*")
    ? typeof value === "string" && value.startsWith(wanted.slice(0, -1))
    : value === wanted

/** A claim by its name, or, where none has it, by a path: `realm_access.roles`. */
export const claimOf = (claims: Readonly<Record<string, unknown>>, name: string): unknown => {
  if (Object.hasOwn(claims, name)) return claims[name]
  let found: unknown = claims
  for (const part of name.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, part)) return undefined
    found = Object.entries(found).find(([key]) => key === part)?.[1]
  }
  return found
}
