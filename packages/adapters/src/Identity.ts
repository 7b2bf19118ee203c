/**
 * Who somebody is, of what its token, its certificate or the hook says: the client that is its own, what it may do, and
 * what handlers get to know of it.
 */
import { Grants, type Principal, Subject } from "@nimbus/domain/access"
import { isNestedTooDeeply, nestingMessage } from "@nimbus/domain/json"
import { Predicate, Result, Schema } from "effect"
import { capabilitiesOf, claimOf, type RuleFile } from "./AccessRules.ts"

/** What is known to be true of somebody. */
export interface Proof {
  /** What the principal has as its issuer. */
  readonly issuer: string
  /** The name of the issuer, which is part of its clients' ids, and that rules go by. The first has none. */
  readonly issuerName: string | undefined
  readonly subject: string
  readonly claims: Readonly<Record<string, unknown>>
  readonly expires_s: number | undefined
  readonly issued_s?: number | undefined
  readonly tokenId?: string | undefined
  readonly keyId?: string | undefined
}

/** What is the same for all. */
export interface IdentityOptions {
  /** Names of claims that handlers get. */
  readonly claims: ReadonlyArray<string>
  readonly rules: () => RuleFile
  readonly limits: { readonly claims_bytes: number; readonly capabilities: number }
}

/** Who it is, or why it is nobody. */
export const principalOf = (proof: Proof, options: IdentityOptions): Result.Result<Principal, string> => {
  const { expires_s, issued_s, issuer, issuerName, keyId, subject, tokenId } = proof
  if (isNestedTooDeeply(proof.claims)) return Result.fail(`its claims are ${nestingMessage}`)
  const own = Subject.clientIdOf({ issuer: issuerName, name: subject })
  if (Result.isFailure(own)) return Result.fail(own.failure)
  const said = saidBy(proof.claims)
  if (Result.isFailure(said)) return Result.fail(said.failure)
  const capabilities = capabilitiesOf(options.rules(), issuerName, proof.claims, said.success)
  if (capabilities.length > options.limits.capabilities)
    return Result.fail(`it has more than ${options.limits.capabilities} capabilities`)
  const grants = Grants.parse(capabilities, own.success)
  if (Result.isFailure(grants)) return Result.fail(`there is no capability ${grants.failure.slice(0, shown_chars)}`)
  const claims = claimsFor(proof.claims, options.claims)
  if (JSON.stringify(claims).length > options.limits.claims_bytes)
    return Result.fail(`the claims that handlers get are longer than ${options.limits.claims_bytes} bytes`)
  const principal = { issuer, subject, clientId: own.success, grants: grants.success, claims, expires_s }
  return Result.succeed({ ...principal, issued_s, tokenId, keyId })
}

const shown_chars = 64

/** The claim `nimbus`: a list of capabilities, or a text of them with blanks between, as `scope` is. */
const saidBy = ({ nimbus }: Proof["claims"]): Result.Result<ReadonlyArray<string> | undefined, string> => {
  if (nimbus === undefined) return Result.succeed(undefined)
  if (typeof nimbus === "string") return Result.succeed(nimbus.split(" ").filter((part) => part !== ""))
  return Array.isArray(nimbus) && nimbus.every(Predicate.isString)
    ? Result.succeed(nimbus)
    : Result.fail("its claim nimbus is no list of capabilities")
}

const isJson = Schema.is(Schema.Json)

const claimsFor = (claims: Proof["claims"], names: ReadonlyArray<string>): Principal["claims"] => {
  const found: Record<string, Schema.Json> = {}
  for (const name of names) {
    const value = claimOf(claims, name)
    if (value !== undefined && isJson(value)) found[name] = value
  }
  return found
}
