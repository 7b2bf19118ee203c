/** Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`. */
import { Predicate, Schema } from "effect"

/** This gateway takes no new connections: an operator drains it. Passing: come back, to any other. */
export class GatewayDraining extends Schema.TaggedError<GatewayDraining>()("GatewayDraining", {
  code: Schema.tag("GATEWAY_DRAINING"),
}) {}

/** The connection has gone before its session was opened. Nothing is to be done. */
export class ConnectionGone extends Schema.TaggedError<ConnectionGone>()("ConnectionGone", {
  code: Schema.tag("CONNECTION_GONE"),
}) {}

/** A newer connection of the client came while this one waited for its turn. The newer one has it. */
export class OpeningSuperseded extends Schema.TaggedError<OpeningSuperseded>()("OpeningSuperseded", {
  code: Schema.tag("OPENING_SUPERSEDED"),
}) {}

/** The subject has as much of this gateway as it may. Passing: come again after `retry_ms`. */
export class SubjectRefused extends Schema.TaggedError<SubjectRefused>()("SubjectRefused", {
  code: Schema.Literals([
    "SUBJECT_CONNECTIONS",
    "SUBJECT_FRAMES",
    "SUBJECT_BYTES",
    "SUBJECT_ROOMS",
    "SUBJECT_NEW_IDS",
    "SUBJECT_TICKETS",
    "SUBJECT_MAIL",
  ]),
  retry_ms: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** The body of a request is not UTF-8, not JSON that can be taken, or has a number that would change. Permanent: correct it. */
export class BodyInvalid extends Schema.TaggedError<BodyInvalid>()("BodyInvalid", {
  code: Schema.Literals(["BAD_REQUEST", "BAD_NUMBER"]),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** An event that a client may send is larger than the topics take. The gateway does not start. */
export class FramesTooLarge extends Schema.TaggedError<FramesTooLarge>()("FramesTooLarge", {
  code: Schema.tag("FRAMES_TOO_LARGE"),
  frame_bytes: Schema.Int,
  event_bytes: Schema.Number,
}) {
  override get message(): string {
    return `NIMBUS_FRAME_BYTES is ${this.frame_bytes}, and the topics take events up to ${this.event_bytes} bytes: set less, or a larger max.message.bytes for events, results and backlog`
  }
}

/** The gRPC port can't be listened on. The gateway does not start. */
export class GrpcPortUnavailable extends Schema.TaggedError<GrpcPortUnavailable>()("GrpcPortUnavailable", {
  code: Schema.tag("GRPC_PORT_UNAVAILABLE"),
  host: Schema.String,
  port: Schema.Int,
  cause: Schema.Defect(),
}) {
  override get message(): string {
    const code = Predicate.hasProperty(this.cause, "code") ? this.cause.code : undefined
    if (code === "EADDRINUSE") {
      return `NIMBUS_PORT: port ${this.port} is taken; stop what listens there, or set another port`
    }
    if (code === "EACCES") return `NIMBUS_PORT: port ${this.port} is not for you; set one above 1023`
    return `NIMBUS_HOST: ${String(this.cause)}; set an address of this machine`
  }
}

/** The address is open to others, and there are no locks. The gateway does not start. */
export class NoLocks extends Schema.TaggedError<NoLocks>()("NoLocks", {
  code: Schema.tag("NO_LOCKS"),
  host: Schema.String,
}) {
  override get message(): string {
    return `NIMBUS_HOST=${this.host} would open Nimbus to everybody who reaches this address: set NIMBUS_AUTH_ISSUER and NIMBUS_AUTH_AUDIENCE, or NIMBUS_INSECURE=true if all who reach it may do everything`
  }
}

/** The files of `NIMBUS_TLS` are missing, or are no certificate with its key. The gateway does not start. */
export class TlsUnusable extends Schema.TaggedError<TlsUnusable>()("TlsUnusable", {
  code: Schema.tag("TLS_UNUSABLE"),
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `NIMBUS_TLS=${this.directory}: ${this.reason}; it must have tls.crt and tls.key, which belong together, and may have ca.crt`
  }
}
