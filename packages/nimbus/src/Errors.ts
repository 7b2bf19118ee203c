/** Every error of this package, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`. */
import { Schema } from "effect"

/** The demo did not end with one result for each event, in order; its table says for whom. */
export class DemoFailed extends Schema.TaggedError<DemoFailed>()("DemoFailed", {
  code: Schema.tag("DEMO_FAILED"),
  lost: Schema.Int,
  repeated: Schema.Int,
  outOfOrder: Schema.Int,
}) {
  override get message(): string {
    return `the demo counted ${this.lost} lost, ${this.repeated} repeated, ${this.outOfOrder} out of order`
  }
}

/** A call of the sample gRPC client has ended before its time. Passing ones are made again. */
export class CallFailed extends Schema.TaggedError<CallFailed>()("CallFailed", {
  code: Schema.tag("CALL_FAILED"),
  status: Schema.String,
  reason: Schema.String,
  isPassing: Schema.Boolean,
}) {
  override get message(): string {
    return `the call ended with ${this.status}: ${this.reason}`
  }
}

/** The run of the sample gRPC client did not bring an answer to each event in time. */
export class AnswersMissing extends Schema.TaggedError<AnswersMissing>()("AnswersMissing", {
  code: Schema.tag("ANSWERS_MISSING"),
  missing: Schema.Int,
}) {
  override get message(): string {
    return `${this.missing} answers are missing`
  }
}

/** There is no data directory here for a command to look into. */
export class NoData extends Schema.TaggedError<NoData>()("NoData", {
  code: Schema.tag("NO_DATA"),
  directory: Schema.String,
}) {
  override get message(): string {
    return `there is no data in ${this.directory}; set NIMBUS_DATA, or name a server with --url, or a cluster with --cluster`
  }
}

/** The module of `NIMBUS_HANDLERS` is not there, can't be loaded, or exports no handlers. Permanent: correct it. */
export class HandlersModuleBad extends Schema.TaggedError<HandlersModuleBad>()("HandlersModuleBad", {
  code: Schema.tag("HANDLERS_MODULE_BAD"),
  path: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `NIMBUS_HANDLERS=${this.path}: ${this.reason}`
  }
}

/** `nimbus create` can't write into the directory: it is not empty, or not ours. Permanent: name another. */
export class StarterRefused extends Schema.TaggedError<StarterRefused>()("StarterRefused", {
  code: Schema.tag("STARTER_REFUSED"),
  directory: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `no application can be made in ${this.directory}: ${this.reason}`
  }
}
