/**
 * A hook that is asked who connects: a service of the operator's decides, in any language, by a signed POST.
 *
 * ```
 *   POST url                                   2xx  { "subject", "capabilities"?, "claims"?, "expires"? }   comes in so
 *   webhook-id: connect/…                      4xx  { "message"? }                                          does not
 *   webhook-timestamp, webhook-signature       5xx, 429, anything else, no answer in time                   nobody does
 *   { "type": "connect", "token": …, …attempt }
 *   { "type": "connect", "issuer": …, "subject": …, "client": …, "claims": …, …attempt }
 *
 *   attempt: "wants"?, "address"?, "transport"
 * ```
 *
 * 1. Where no tokens count here, it is sent what the client shows, and says whose that is. Its subjects are clients by
 *    their own names.
 * 2. After a token or a certificate it is told who that is, and may refuse, or say something else of what the client may do,
 *    what handlers get to know of it, and when it ends. It makes nobody of somebody else.
 * 3. It fails closed: without an answer nobody comes in. A call is not repeated: the client comes back.
 * 4. It is told besides as which client somebody wants to connect, from where, and by which transport.
 * 5. What it says to the client is in `message`. What only operators may know is logged.
 */
import { Grants, type Principal } from "@nimbus/domain/access"
import { AuthUnavailable, Unauthenticated } from "@nimbus/domain/errors"
import { type Attempt, logFailure, RandomIds } from "@nimbus/domain/services"
import { Clock, Effect, Predicate, Result, Schema, Semaphore } from "effect"
import { type IdentityOptions, principalOf } from "../Identity.ts"
import { type ConnectHookLimits, connectHookLimits } from "../Limits.ts"
import type { HttpHandlerError } from "./Answer.ts"
import { resultOf } from "./Answer.ts"
import * as Calls from "./Calls.ts"

type Refused = Unauthenticated | AuthUnavailable

/** Asks a service who connects. */
export interface ConnectHook {
  /** Whose this is. */
  identify(token: string, attempt?: Attempt): Effect.Effect<Principal, Refused>
  /** As what somebody comes in who has shown who it is. */
  confirm(principal: Principal, attempt?: Attempt): Effect.Effect<Principal, Refused>
}

const Verdict = Schema.Struct({
  subject: Schema.optionalKey(Schema.String),
  capabilities: Schema.optionalKey(Schema.Array(Schema.String)),
  claims: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  /** Seconds since 1970. */
  expires: Schema.optionalKey(Schema.Finite),
})
type Verdict = typeof Verdict.Type
const verdictOf = Schema.decodeUnknownResult(Verdict)

/** What principals have as their issuer whom the hook has named. */
export const hookIssuer = "hook"

/** Throws where the address or the secret is not well-formed. */
export const make = Effect.fnUntraced(function* (
  target: Calls.Target,
  identity: IdentityOptions,
  limits: ConnectHookLimits = connectHookLimits,
): Effect.fn.Return<ConnectHook> {
  const service = Calls.serviceOf("connect", target)
  const permits = yield* Semaphore.make(limits.calls_at_once)
  const ids = yield* RandomIds

  const asked = (body: Readonly<Record<string, Schema.Json>>, attempt: Attempt | undefined) =>
    Effect.gen(function* () {
      const id = `connect/${ids.uuid()}`
      const response = yield* Calls.post(service, {
        id,
        accept: "application/json",
        body: { type: "connect", ...body, ...knownOf(attempt) },
      })
      const answer = yield* Calls.answerOf(response, Calls.bytesOf(response), limits.answer_bytes)
      if (answer.status === 429) return yield* unavailable(`answered HTTP ${answer.status}`)
      const result = resultOf(answer, limits.answer_bytes)
      if (Result.isFailure(result)) return yield* refusalOf(result.failure)
      const verdict = verdictOf(result.success)
      // What it answered instead may be anything, and is not logged.
      return Result.isSuccess(verdict) ? verdict.success : yield* unavailable("answered no verdict")
    }).pipe(
      Effect.scoped,
      Effect.catchTag("HttpHandlerUnavailable", refusalOf),
      Semaphore.withPermits(permits, 1),
      Effect.timeoutOrElse({
        duration: limits.call_timeout_ms,
        orElse: () => unavailable(`did not answer within ${limits.call_timeout_ms} ms`),
      }),
    )

  return {
    identify: (token, attempt) =>
      Effect.flatMap(asked({ token }, attempt), (verdict) =>
        Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
          const expires_s = verdict.expires ?? Math.floor(now_ms / 1000) + limits.session_s
          return inTime(identified(verdict, expires_s, identity), now_ms)
        }),
      ),
    confirm: (principal, attempt) => {
      const { claims, clientId, issuer, subject } = principal
      return Effect.flatMap(asked({ issuer, subject, client: clientId, claims }, attempt), (verdict) =>
        Effect.flatMap(Clock.currentTimeMillis, (now_ms) => inTime(confirmed(principal, verdict, identity), now_ms)),
      )
    },
  }
})

/** Of an attempt what is known. */
const knownOf = ({ address, transport, wants }: Partial<Attempt> = {}): Readonly<Record<string, Schema.Json>> => ({
  ...(wants !== undefined && { wants }),
  ...(address !== undefined && { address }),
  ...(transport !== undefined && { transport }),
})

const identified = (
  { capabilities, claims = {}, subject }: Verdict,
  expires_s: number,
  identity: IdentityOptions,
): Result.Result<Principal, string> =>
  subject === undefined
    ? Result.fail("names no subject")
    : principalOf(
        {
          issuer: hookIssuer,
          issuerName: undefined,
          subject,
          claims: { ...claims, sub: subject, nimbus: capabilities },
          expires_s,
        },
        { ...identity, claims: Object.keys(claims) },
      )

/** The same principal, with what the verdict says of it. */
const confirmed = (
  principal: Principal,
  { capabilities, claims, expires, subject }: Verdict,
  { limits }: IdentityOptions,
): Result.Result<Principal, string> => {
  if (subject !== undefined && subject !== principal.subject) return Result.fail("names another subject")
  if (capabilities !== undefined && capabilities.length > limits.capabilities)
    return Result.fail(`names more than ${limits.capabilities} capabilities`)
  const grants =
    capabilities === undefined ? Result.succeed(principal.grants) : Grants.parse(capabilities, principal.clientId)
  if (Result.isFailure(grants)) return Result.fail(`names the capability ${grants.failure}, which there is not`)
  const told = { ...principal.claims, ...claims }
  if (JSON.stringify(told).length > limits.claims_bytes) return Result.fail("has too long claims")
  const ends = [principal.expires_s, expires].filter(Predicate.isNumber)
  const expires_s = ends.length === 0 ? undefined : Math.min(...ends)
  return Result.succeed({ ...principal, grants: grants.success, claims: told, expires_s })
}

const inTime = (principal: Result.Result<Principal, string>, now_ms: number): Effect.Effect<Principal, Refused> => {
  if (Result.isFailure(principal)) return unavailable(principal.failure)
  const { expires_s } = principal.success
  return expires_s !== undefined && expires_s * 1000 <= now_ms
    ? Effect.fail(new Unauthenticated({ code: "TOKEN_EXPIRED", reason: "the token has ended" }))
    : Effect.succeed(principal.success)
}

/** What was wrong is for operators. */
const unavailable = (why: string): Effect.Effect<never, AuthUnavailable> =>
  Effect.andThen(
    logFailure("the connect hook", why),
    Effect.fail(new AuthUnavailable({ code: "AUTH_UNAVAILABLE", reason: "who connects can't be asked for now" })),
  )

const refusalOf = (error: HttpHandlerError): Effect.Effect<never, Refused> =>
  error._tag === "HttpHandlerRefused"
    ? Effect.fail(new Unauthenticated({ code: "TOKEN_INVALID", reason: error.reason ?? "the connect hook refuses it" }))
    : unavailable(`${error.reason}: ${String(error.cause)}`)
