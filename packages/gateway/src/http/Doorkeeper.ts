/**
 * Who asks at a route, and whether it may: the HTTP side of `Access`. It is asked first, before a body is read.
 *
 * | fails with | answer |
 * | --- | --- |
 * | `Unauthenticated` | 401 with its code, and `WWW-Authenticate: Bearer` |
 * | `Forbidden` | 403 `FORBIDDEN`, with the capability that is missing |
 * | `TooManyLogins` | 429 `TOO_MANY_LOGINS`, with `Retry-After` |
 * | `SubjectRefused` | 429 with its code, and `Retry-After` |
 * | `AuthUnavailable` | 503 `AUTH_UNAVAILABLE`, with `Retry-After` |
 */
import { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { Principal } from "@nimbus/domain/access"
import type { AuthUnavailable, Forbidden, Unauthenticated } from "@nimbus/domain/errors"
import type { TooManyLogins } from "@nimbus/domain/admin"
import { problems } from "@nimbus/domain/http"
import { Effect } from "effect"
import { HttpServerRequest } from "effect/http"
import { Access, type From, type Shown } from "../access/Access.ts"
import { Operators } from "../admin/Operators.ts"
import type { SubjectRefused } from "../Errors.ts"
import { refuse } from "./Refusal.ts"
import { UpgradeServer } from "./UpgradeServer.ts"

/** As the audit has it. */
const transport = "http"

/** Who asks, from where, and what it has shown. */
export interface Visitor {
  readonly principal: Principal
  readonly from: From
  readonly shown: Shown
}

type Access_ = Access["Service"]

type Authenticated = Effect.Effect<Principal, Unauthenticated | AuthUnavailable>

/** Who asks. `undefined`: there are no locks. `byToken`: who it is beside what clients may be. */
const visitorBy = <E, R>(
  byToken: (
    request: HttpServerRequest.HttpServerRequest,
    authenticated: Authenticated,
  ) => Effect.Effect<Principal, E, R>,
) =>
  Effect.gen(function* () {
    const access = yield* Access
    if (access.isOpen) return undefined
    const { from, shown } = yield* UpgradeServer
    const asked = yield* HttpServerRequest.HttpServerRequest
    const request = NodeHttpServerRequest.toIncomingMessage(asked)
    // By HTTP/2 nobody comes here.
    if (!(request instanceof IncomingMessage)) return yield* Effect.die("a request of HTTP/2 at the port of HTTP/1.1")
    const place = from(request, transport)
    const credentials = shown(request)
    const principal = yield* byToken(asked, access.authenticate(credentials, place))
    return { principal, from: place, shown: credentials } satisfies Visitor
  })

/** Who asks. `undefined`: there are no locks. */
export const visitor = visitorBy((_, authenticated) => authenticated)

/** The same, if it may do this. */
export const admitted = (may: (access: Access_, visitor: Visitor) => Effect.Effect<void, Forbidden>) =>
  Effect.gen(function* () {
    const found = yield* visitor
    if (found !== undefined) yield* may(yield* Access, found)
    return found
  })

/** The same, where a token of the settings counts as well: of an operator, or of a server. */
export const admittedWithOperators = (may: (access: Access_, visitor: Visitor) => Effect.Effect<void, Forbidden>) =>
  Effect.gen(function* () {
    const operators = yield* Operators
    const found = yield* visitorBy((request, authenticated) => operators.orClient(request, transport, authenticated))
    if (found !== undefined) yield* may(yield* Access, found)
    return found
  })

const unauthenticated = {
  TOKEN_MISSING: problems.tokenMissing,
  TOKEN_INVALID: problems.tokenInvalid,
  TOKEN_EXPIRED: problems.tokenExpired,
  TOKEN_REVOKED: problems.tokenRevoked,
} as const

/** What is answered to who is not let in, for `Effect.catchTags`. */
export const refusals = {
  Unauthenticated: ({ code, message }: Unauthenticated) =>
    refuse(unauthenticated[code], message, { "www-authenticate": "Bearer" }),
  Forbidden: ({ capability, message }: Forbidden) => refuse(problems.forbidden, message, {}, { capability }),
  AuthUnavailable: ({ message }: AuthUnavailable) => refuse(problems.authUnavailable, message, { "retry-after": "1" }),
}

/** The same for `admittedWithOperators`. */
export const refusalsWithOperators = {
  ...refusals,
  TooManyLogins: ({ message, retry_ms }: TooManyLogins) =>
    refuse(problems.tooManyLogins, message, { "retry-after": String(Math.ceil(retry_ms / 1000)) }),
}

const tooMuch = {
  SUBJECT_CONNECTIONS: problems.subjectFrames,
  SUBJECT_ROOMS: problems.subjectFrames,
  SUBJECT_FRAMES: problems.subjectFrames,
  SUBJECT_BYTES: problems.subjectBytes,
  SUBJECT_NEW_IDS: problems.subjectNewIds,
  SUBJECT_TICKETS: problems.subjectTickets,
  SUBJECT_MAIL: problems.subjectMail,
} as const

/** What is answered to a subject that has as much as it may, for `Effect.catchTags`. */
export const subjectRefused = ({ code, message, retry_ms }: SubjectRefused) =>
  refuse(tooMuch[code], message, { "retry-after": String(Math.max(1, Math.ceil(retry_ms / 1_000))) })
