/**
 * What the HTTP API refuses. The body of each refusal is `{"code":…,"message":…}`; the code is a row of docs/errors.md.
 *
 * Transports respond with these, and the declaration (`Api.ts`) has their schemas, so that a status or a code that is sent
 * is one that is declared.
 */
import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"

const problem = <const Code extends string>(code: Code, status: number, description: string) => ({
  code,
  status,
  schema: Schema.Struct({ code: Schema.Literal(code), message: Schema.String })
    .annotate({ description: `${code}: ${description}` })
    .pipe(HttpApiSchema.status(status)),
})

const forbidden = <const Code extends string>(code: Code, status: number, description: string) => ({
  code,
  status,
  schema: Schema.Struct({ code: Schema.Literal(code), message: Schema.String, capability: Schema.String })
    .annotate({ description: `${code}: ${description}` })
    .pipe(HttpApiSchema.status(status)),
})

/** One of them: what is sent of it, and how it is declared. */
export interface Problem {
  readonly code: string
  readonly status: number
  readonly schema: Schema.Top
}

/** What routes refuse. */
export const problems = {
  badRequest: problem(
    "BAD_REQUEST",
    400,
    "a parameter or the body is wrong, or the body broke off; the message says which.",
  ),
  badNumber: problem("BAD_NUMBER", 400, "a number in the body does not fit into a double. Send it as text."),
  badBatch: problem("BAD_BATCH", 400, "too many messages, or too large ones. Nothing was published."),
  tokenMissing: problem("TOKEN_MISSING", 401, "there are locks here, and no token came."),
  tokenInvalid: problem("TOKEN_INVALID", 401, "the token counts for nothing here; the message says why."),
  tokenExpired: problem("TOKEN_EXPIRED", 401, "the token has ended. Come with a new one."),
  tokenRevoked: problem("TOKEN_REVOKED", 401, "the token, or its subject, was revoked."),
  forbidden: forbidden("FORBIDDEN", 403, "a capability is missing, which is named."),
  tooManyLogins: problem("TOO_MANY_LOGINS", 429, "of this address were wrong. Come back after `Retry-After`."),
  authUnavailable: problem("AUTH_UNAVAILABLE", 503, "who asks can't be found out now. Ask again after `Retry-After`."),
  notFound: problem("NOT_FOUND", 404, "nothing is served at this path."),
  noArchive: problem("NO_ARCHIVE", 404, "this installation keeps no archive."),
  methodNotAllowed: problem("METHOD_NOT_ALLOWED", 405, "the path takes the methods that `Allow` names."),
  subjectFrames: problem("SUBJECT_FRAMES", 429, "of this subject. Send it again after `Retry-After`."),
  subjectBytes: problem("SUBJECT_BYTES", 429, "of this subject. Send it again after `Retry-After`."),
  subjectMail: problem("SUBJECT_MAIL", 429, "of this subject for this client. Send it again after `Retry-After`."),
  subjectNewIds: problem("SUBJECT_NEW_IDS", 429, "of this subject. Send it again after `Retry-After`."),
  subjectTickets: problem("SUBJECT_TICKETS", 429, "of this subject. Ask again after `Retry-After`."),
  bodyTooBig: problem("BODY_TOO_BIG", 413, "the body is larger than this gateway takes. Send it in several."),
  tooLargeForLog: problem("LOG_REFUSED", 413, "the log does not take messages of this size."),
  upgradeRequired: problem("UPGRADE_REQUIRED", 426, "the path is a WebSocket."),
  logRefused: problem("LOG_REFUSED", 500, "the log does not take these messages; an operator has to see to it."),
  unknownTopic: problem("UNKNOWN_TOPIC", 500, "the log has no such topic; an operator has to see to it."),
  logUnavailable: problem("LOG_UNAVAILABLE", 503, "the log is not available. Send it again."),
  readsBusy: problem("READS_BUSY", 503, "too many read at once, or it took too long. Ask again after `Retry-After`."),
  archiveUnavailable: problem("ARCHIVE_UNAVAILABLE", 503, "the archive is not available. Ask again."),
}

/** What the port refuses before a route sees the request. */
export const portProblems = {
  badRequest: problems.badRequest,
  hostNotAllowed: problem("HOST_NOT_ALLOWED", 403, "the server is not asked by this `Host`."),
  originNotAllowed: problem("ORIGIN_NOT_ALLOWED", 403, "pages of this origin may not ask."),
  unsupportedMediaType: problem("UNSUPPORTED_MEDIA_TYPE", 415, "a body must be `application/json`, and say so."),
  tooManyConnections: problem("TOO_MANY_CONNECTIONS", 429, "of this address. Come back after `Retry-After`."),
  tooManyOpenings: problem("TOO_MANY_OPENINGS", 429, "of this address. Come back after `Retry-After`."),
  tooManyFailures: problem("TOO_MANY_FAILURES", 429, "of this address. Come back after `Retry-After`."),
  busy: problem("BUSY", 503, "the bodies of requests under way are too large together. Send it again later."),
}
