/**
 * Every error of the SDK, one class per cause. Each has a stable `code`, which is its row in `docs/errors.md`
 * together with what the caller can do about it.
 */
import type { ClientId, Cursor, EventId, Failure } from "@nimbus/domain/protocol"
import * as Data from "effect/Data"

/** The client id, the address, the path or a parameter is invalid. The SDK says so before it connects, or the gateway. */
export class BadRequest extends Data.TaggedError("BadRequest")<{
  readonly reason: string
}> {
  readonly code = "BAD_REQUEST"

  override get message(): string {
    return this.reason
  }
}

/** A newer connection of the same client id exists. A reconnect would supersede it in turn, so the client stops. */
export class Superseded extends Data.TaggedError("Superseded")<{
  readonly clientId: ClientId
}> {
  readonly code = "SUPERSEDED"

  override get message(): string {
    return `a newer connection of client ${this.clientId} is there`
  }
}

/** The gateway refused a frame as too large, although the SDK compares events with the limit of its `welcome`. */
export class MessageTooBig extends Data.TaggedError("MessageTooBig")<{
  readonly reason: string
}> {
  readonly code = "MESSAGE_TOO_BIG"

  override get message(): string {
    return this.reason
  }
}

/**
 * The gateway knows nobody by what the client has shown, and did not by the token that `token` gave next: without `token`, or
 * with tokens of another issuer or audience. `reason` begins with the code of the gateway, such as `TOKEN_INVALID`.
 */
export class Unauthenticated extends Data.TaggedError("Unauthenticated")<{
  readonly reason: string
}> {
  readonly code = "UNAUTHENTICATED"

  override get message(): string {
    return this.reason
  }
}

/** The token, its subject or its key was revoked: the user must sign in again. */
export class TokenRevoked extends Data.TaggedError("TokenRevoked")<{
  readonly reason: string
}> {
  readonly code = "TOKEN_REVOKED"

  override get message(): string {
    return this.reason
  }
}

/** The token does not allow to connect like this; `reason` names the capability. An event that it does not allow is `EventRefused`. */
export class Forbidden extends Data.TaggedError("Forbidden")<{
  readonly reason: string
}> {
  readonly code = "FORBIDDEN"

  override get message(): string {
    return this.reason
  }
}

/** Another subject is connected as this client, and its session goes on. */
export class ClientInUse extends Data.TaggedError("ClientInUse")<{
  readonly clientId: ClientId
}> {
  readonly code = "CLIENT_IN_USE"

  override get message(): string {
    return `client ${this.clientId} is connected by another subject`
  }
}

/** The connection was closed with a code that this version does not know, and that forbids to reconnect. */
export class TurnedAway extends Data.TaggedError("TurnedAway")<{
  readonly close: number
  readonly reason: string
}> {
  readonly code = "TURNED_AWAY"

  override get message(): string {
    return this.reason
  }
}

/** None of `reconnect_attempts` attempts led to a connection that lasted. */
export class Unreachable extends Data.TaggedError("Unreachable")<{
  readonly attempts: number
  readonly reason: string
}> {
  readonly code = "UNREACHABLE"

  override get message(): string {
    return this.reason
  }
}

/** The scope of the client is closed. The memory has what was not accepted, and the next client of this id sends it. */
export class ClientClosed extends Data.TaggedError("ClientClosed") {
  readonly code = "CLIENT_CLOSED"
}

/** The memory could not be read or written. The client stops, so that it sends nothing that the memory may not have. */
export class MemoryUnavailable extends Data.TaggedError("MemoryUnavailable")<{
  readonly operation: "load" | "save"
  readonly cause: unknown
}> {
  readonly code = "MEMORY_UNAVAILABLE"

  override get message(): string {
    return `could not ${this.operation} the client's memory: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** The contents of the memory are not valid. They are never guessed. */
export class MemoryCorrupt extends Data.TaggedError("MemoryCorrupt")<{
  readonly place: string
  readonly reason: string
}> {
  readonly code = "MEMORY_CORRUPT"

  override get message(): string {
    return `${this.place}: ${this.reason}`
  }
}

/** Why a client stops permanently: `results`, `send` and `failed` end with it. */
export type ClientError =
  | BadRequest
  | Superseded
  | MessageTooBig
  | Unauthenticated
  | TokenRevoked
  | Forbidden
  | ClientInUse
  | TurnedAway
  | Unreachable
  | ClientClosed
  | MemoryUnavailable

/** The event can't be sent: its id or name has a wrong length, or JSON would omit or change its data. */
export class EventInvalid extends Data.TaggedError("EventInvalid")<{
  readonly reason: string
}> {
  readonly code = "EVENT_INVALID"

  override get message(): string {
    return this.reason
  }
}

/** The id was used before, and what came of it was delivered or lost then. `first`: its seq; -1 if that was in another log. */
export class EventRepeated extends Data.TaggedError("EventRepeated")<{
  readonly id: EventId
  readonly first: Cursor
}> {
  readonly code = "EVENT_REPEATED"

  override get message(): string {
    const where = this.first < 0 ? "in a log that is gone" : `at seq ${this.first}`
    return `the id ${this.id} was used before, ${where}: its result came then, and there is no second one`
  }
}

/** Why a gateway refuses an event. `capability`: with `FORBIDDEN`, the one that the token lacks. */
export interface Refusal extends Failure {
  readonly capability?: string
}

/** The gateway refused the event, and would refuse it again. `refusal` is its reason. */
export class EventRefused extends Data.TaggedError("EventRefused")<{
  readonly id: EventId
  readonly refusal: Refusal
}> {
  readonly code = "EVENT_REFUSED"

  override get message(): string {
    return `${this.refusal.code}: ${this.refusal.message}`
  }
}

/** The event was handled, and its result is an error. `failure` is that of the handler. */
export class EventFailed extends Data.TaggedError("EventFailed")<{
  readonly id: EventId
  readonly failure: Failure
}> {
  readonly code = "EVENT_FAILED"

  override get message(): string {
    return `${this.failure.code}: ${this.failure.message}`
  }
}

/** The event was accepted, but results were lost, and its result may be one. If it arrives, it is in `results`. */
export class ResultLost extends Data.TaggedError("ResultLost")<{
  readonly id: EventId
}> {
  readonly code = "RESULT_LOST"
}

/** The task was cancelled, by this client or by an operator. What came before is all that came. */
export class TaskCancelled extends Data.TaggedError("TaskCancelled")<{
  readonly id: EventId
}> {
  readonly code = "TASK_CANCELLED"

  override get message(): string {
    return `the task ${this.id} was cancelled`
  }
}

/**
 * The task began again, as its worker died and it does not resume: the parts that its stream gave before are void. `resume`
 * gives the new ones. Only a stream without `onRestart` fails with it.
 */
export class TaskRestarted extends Data.TaggedError("TaskRestarted")<{
  readonly id: EventId
  readonly attempt: number
}> {
  readonly code = "TASK_RESTARTED"

  override get message(): string {
    return `the task ${this.id} began again, with attempt ${this.attempt}: what came before is void`
  }
}

/** The memory of the client has no such task: it was never streamed, or was forgotten since it ended. */
export class TaskNotKept extends Data.TaggedError("TaskNotKept")<{
  readonly id: string
}> {
  readonly code = "TASK_NOT_KEPT"

  override get message(): string {
    return `the client remembers no task ${this.id}`
  }
}

/** The first `parts` parts of the task are not kept any longer (`task_chars`). `events` of the stream gives those behind them. */
export class PartsForgotten extends Data.TaggedError("PartsForgotten")<{
  readonly id: EventId
  readonly parts: number
}> {
  readonly code = "PARTS_FORGOTTEN"

  override get message(): string {
    return `the first ${this.parts} parts of the task ${this.id} are kept no longer`
  }
}

/** Why a stream of a task fails. */
export type TaskError =
  | EventInvalid
  | EventRefused
  | EventFailed
  | EventRepeated
  | ResultLost
  | TaskCancelled
  | TaskRestarted
  | TaskNotKept
  | PartsForgotten
  | ClientError

/** A connection has ended or could not be opened. The client reconnects; only the user of a transport sees this error. */
export class ConnectionClosed extends Data.TaggedError("ConnectionClosed")<{
  readonly close: number
  readonly reason: string
}> {
  readonly code = "CONNECTION_CLOSED"

  override get message(): string {
    return this.reason
  }
}

/** A bug of the SDK: an invariant of its core, as the header of `Core.ts` numbers it, does not hold. The client ends. */
export class InvariantBroken extends Data.TaggedError("InvariantBroken")<{
  readonly invariant: number
}> {
  readonly code = "INVARIANT_BROKEN"

  override get message(): string {
    return `invariant ${this.invariant} of the client does not hold`
  }
}

/** A callback of `connect` threw or rejected. The client is closed, and what the callback had not finished is delivered again. */
export class CallbackFailed extends Data.TaggedError("CallbackFailed")<{
  readonly cause: unknown
}> {
  readonly code = "CALLBACK_FAILED"
}

/** No gateway responded to the sample client at this address in time. */
export class NoGateway extends Data.TaggedError("NoGateway")<{
  readonly addr: string
  readonly within_ms: number
}> {
  readonly code = "NO_GATEWAY"

  override get message(): string {
    return `no gateway answered at ${this.addr} within ${this.within_ms} ms; start one, or name another address by --addr`
  }
}

/** The sample client's run did not end with one result for each event, in order. */
export class ResultsWrong extends Data.TaggedError("ResultsWrong")<{
  readonly missing: number
  readonly repeated: number
  readonly outOfOrder: number
}> {
  readonly code = "RESULTS_WRONG"

  override get message(): string {
    return `${this.missing} missing, ${this.repeated} repeated, ${this.outOfOrder} out of order`
  }
}
