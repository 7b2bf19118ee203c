/** Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`. */
import { Predicate, Schema } from "effect"

/** This gateway takes no new connections: an operator drains it. Passing: come back, to any other. */
export class GatewayDraining extends Schema.TaggedError<GatewayDraining>()("GatewayDraining", {
  code: Schema.tag("GATEWAY_DRAINING"),
}) {}

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
