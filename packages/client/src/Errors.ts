/**
 * Every error of the SDK, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import { ClientId, EventId, Failure } from "@nimbus/domain"
import { Schema } from "effect"

/** What was asked for is wrong, said by us before connecting or by the gateway: client id, address, path, parameters. */
export class BadRequest extends Schema.TaggedError<BadRequest>()("BadRequest", {
  code: Schema.tag("BAD_REQUEST"),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** A newer connection of the same client id is there. Coming back would supersede it in turn, so the client stops. */
export class Superseded extends Schema.TaggedError<Superseded>()("Superseded", {
  code: Schema.tag("SUPERSEDED"),
  clientId: ClientId,
}) {
  override get message(): string {
    return `a newer connection of client ${this.clientId} is there`
  }
}

/** The gateway took a frame of ours for too big, although events are measured by its `welcome`. */
export class MessageTooBig extends Schema.TaggedError<MessageTooBig>()("MessageTooBig", {
  code: Schema.tag("MESSAGE_TOO_BIG"),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** Closed with a code, unknown to this version, that says not to come back. */
export class TurnedAway extends Schema.TaggedError<TurnedAway>()("TurnedAway", {
  code: Schema.tag("TURNED_AWAY"),
  close: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** No connection lasted in `reconnect_attempts` attempts. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {
  code: Schema.tag("UNREACHABLE"),
  attempts: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** The client's scope is closed. What was sent and not accepted is in the memory, and is resent by the next life. */
export class ClientClosed extends Schema.TaggedError<ClientClosed>()("ClientClosed", {
  code: Schema.tag("CLIENT_CLOSED"),
}) {}

/** The memory did not take or give. Nothing is acknowledged or sent that it may not hold: the client stops. */
export class MemoryUnavailable extends Schema.TaggedError<MemoryUnavailable>()("MemoryUnavailable", {
  code: Schema.tag("MEMORY_UNAVAILABLE"),
  operation: Schema.Literals(["load", "save"]),
  cause: Schema.Defect(),
}) {
  override get message(): string {
    return `could not ${this.operation} the client's memory: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** What the memory holds is not ours or was damaged. Never guessed at. */
export class MemoryCorrupt extends Schema.TaggedError<MemoryCorrupt>()("MemoryCorrupt", {
  code: Schema.tag("MEMORY_CORRUPT"),
  place: Schema.String,
  reason: Schema.String,
}) {
  override get message(): string {
    return `${this.place}: ${this.reason}`
  }
}

/** Why a client stops for good: `results`, `send` and `failed` end with it. */
export type ClientError =
  | BadRequest
  | Superseded
  | MessageTooBig
  | TurnedAway
  | Unreachable
  | ClientClosed
  | MemoryUnavailable

/** The event can't be sent as it is: an id or name of wrong length, or data that JSON would leave out or change. */
export class EventInvalid extends Schema.TaggedError<EventInvalid>()("EventInvalid", {
  code: Schema.tag("EVENT_INVALID"),
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** The gateway did not take the event, and sending it again as it is will not help. `refusal` is its reason. */
export class EventRefused extends Schema.TaggedError<EventRefused>()("EventRefused", {
  code: Schema.tag("EVENT_REFUSED"),
  id: EventId,
  refusal: Failure,
}) {
  override get message(): string {
    return `${this.refusal.code}: ${this.refusal.message}`
  }
}

/** The event was handled and its result is an error. `failure` is the handler's. */
export class EventFailed extends Schema.TaggedError<EventFailed>()("EventFailed", {
  code: Schema.tag("EVENT_FAILED"),
  id: EventId,
  failure: Failure,
}) {
  override get message(): string {
    return `${this.failure.code}: ${this.failure.message}`
  }
}

/** The event was accepted, but results were lost and this may be one. If it comes after all, it comes in `results`. */
export class ResultLost extends Schema.TaggedError<ResultLost>()("ResultLost", {
  code: Schema.tag("RESULT_LOST"),
  id: EventId,
}) {}

/** One connection is over or did not come about. The client sees to it; a transport's user sees this. */
export class ConnectionClosed extends Schema.TaggedError<ConnectionClosed>()("ConnectionClosed", {
  code: Schema.tag("CONNECTION_CLOSED"),
  close: Schema.Int,
  reason: Schema.String,
}) {
  override get message(): string {
    return this.reason
  }
}

/** A callback given to `connect` threw or rejected. The client is closed; what the callback had not finished comes again. */
export class CallbackFailed extends Schema.TaggedError<CallbackFailed>()("CallbackFailed", {
  code: Schema.tag("CALLBACK_FAILED"),
  cause: Schema.Defect(),
}) {}

/** Nothing that speaks Nimbus answered the sample client at this address in time. */
export class NoGateway extends Schema.TaggedError<NoGateway>()("NoGateway", {
  code: Schema.tag("NO_GATEWAY"),
  addr: Schema.String,
  within_ms: Schema.Int,
}) {
  override get message(): string {
    return `no gateway answered at ${this.addr} within ${this.within_ms} ms; start one, or name another address by --addr`
  }
}

/** The sample client's run did not end with one result for each event, in order. */
export class ResultsWrong extends Schema.TaggedError<ResultsWrong>()("ResultsWrong", {
  code: Schema.tag("RESULTS_WRONG"),
  missing: Schema.Int,
  repeated: Schema.Int,
  outOfOrder: Schema.Int,
}) {
  override get message(): string {
    return `${this.missing} missing, ${this.repeated} repeated, ${this.outOfOrder} out of order`
  }
}
