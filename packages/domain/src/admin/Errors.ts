/** What the admin API refuses, each with its `code` of docs/errors.md and its HTTP status. */
import { Schema } from "effect"

/** The token is missing or wrong. Where there are locks, the code says what is wrong with it. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  {
    code: Schema.Literals(["UNAUTHORIZED", "TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED"]),
    message: Schema.String,
  },
  { httpApiStatus: 401 },
) {}

/** Who asks is known, and may not do this: the capability is missing. Nothing has happened. */
export class RoleMissing extends Schema.TaggedError<RoleMissing>()(
  "RoleMissing",
  { code: Schema.tag("FORBIDDEN"), capability: Schema.String, message: Schema.String },
  { httpApiStatus: 403 },
) {}

/** Too many tokens from this address were wrong. Passing: come back after `Retry-After`. */
export class TooManyLogins extends Schema.TaggedError<TooManyLogins>()(
  "TooManyLogins",
  { code: Schema.tag("TOO_MANY_LOGINS"), message: Schema.String, retry_ms: Schema.Int },
  { httpApiStatus: 429 },
) {}

/** Who asks can't be found out now: keys or a store are away. Passing: ask again, after `Retry-After`. */
export class LoginUnavailable extends Schema.TaggedError<LoginUnavailable>()(
  "LoginUnavailable",
  { code: Schema.tag("AUTH_UNAVAILABLE"), message: Schema.String },
  { httpApiStatus: 503 },
) {}

/** There is nothing by this name: a client, a pod, a record. */
export class NotFound extends Schema.TaggedError<NotFound>()(
  "NotFound",
  { code: Schema.tag("NOT_FOUND"), message: Schema.String },
  { httpApiStatus: 404 },
) {}

/** It is there, but this can't be done with it; the message says why. */
export class NotPossible extends Schema.TaggedError<NotPossible>()(
  "NotPossible",
  { code: Schema.tag("NOT_POSSIBLE"), message: Schema.String },
  { httpApiStatus: 409 },
) {}

/** A service that must be asked does not answer. Passing: ask again. */
export class AdminUnavailable extends Schema.TaggedError<AdminUnavailable>()(
  "AdminUnavailable",
  { code: Schema.tag("ADMIN_UNAVAILABLE"), message: Schema.String },
  { httpApiStatus: 503 },
) {}

/** As many read as may, or this read took too long. Passing: ask again, after `Retry-After`. */
export class ReadsBusy extends Schema.TaggedError<ReadsBusy>()(
  "ReadsBusy",
  { code: Schema.tag("READS_BUSY"), message: Schema.String },
  { httpApiStatus: 503 },
) {}

/** The request is not well-formed: a parameter, the query or the body; the message says which. */
export class BadRequest extends Schema.TaggedError<BadRequest>()(
  "BadRequest",
  { code: Schema.tag("BAD_REQUEST"), message: Schema.String },
  { httpApiStatus: 400 },
) {}
