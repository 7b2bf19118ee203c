/**
 * What a client and a gateway say to each other over the native WebSocket: JSON, one frame a message, subprotocol
 * `nimbus.v1`.
 *
 * Client to gateway: `event`, `cancel`, `ack`, `ping`, `auth`. Gateway to client: `welcome`, `accepted`, `cancelling`,
 * `refused`, `results`, `status`, `lost`, `error`, `expiring`, `authenticated`, `pong`. Shared by the transport and the SDK, so that the two cannot drift.
 */
import { Result, Schema } from "effect"
import { inexactNumber } from "../json/ExactNumbers.ts"
import { Cursor, Epoch, EventId, Incarnation, Seq } from "./Ids.ts"
import { JourneyStep } from "./Journey.ts"
import { parseJsonText } from "../json/JsonText.ts"
import { isNestedTooDeeply, nestingMessage } from "../json/Nesting.ts"
import { EventName, Failure, TaskOutcome } from "./Records.ts"
import { StatusName } from "./Status.ts"

export { subprotocol } from "./Subprotocol.ts"

/** Something for a handler to do. Without an id the gateway makes one and tells it in `accepted`. */
export const EventFrame = Schema.Struct({
  type: Schema.Literal("event"),
  id: Schema.optionalKey(EventId),
  name: EventName,
  data: Schema.optionalKey(Schema.Json),
})
export type EventFrame = typeof EventFrame.Type

/** Ends the client's latest open task whose event has this id. One that has ended, or none, is no error. */
export const CancelFrame = Schema.Struct({ type: Schema.Literal("cancel"), id: EventId })
export type CancelFrame = typeof CancelFrame.Type

/** Everything up to `seq` is the client's own now. */
export const AckFrame = Schema.Struct({ type: Schema.Literal("ack"), seq: Seq })
export type AckFrame = typeof AckFrame.Type

/** Asks for a `pong`. */
export const PingFrame = Schema.Struct({ type: Schema.Literal("ping") })
export type PingFrame = typeof PingFrame.Type

/**
 * Shows who the client is: as the first frame where nothing else could, or a new token of the same subject in time before
 * the last one ends.
 */
export const AuthFrame = Schema.Struct({ type: Schema.Literal("auth"), token: Schema.NonEmptyString })
export type AuthFrame = typeof AuthFrame.Type

/** What a client sends. */
export const ClientFrame = Schema.Union([EventFrame, CancelFrame, AckFrame, PingFrame, AuthFrame])
export type ClientFrame = typeof ClientFrame.Type

/** The first frame of a session: who the client is, where it starts, and the bounds of this gateway. */
export const Welcome = Schema.Struct({
  type: Schema.Literal("welcome"),
  clientId: Schema.String,
  epoch: Epoch,
  status: StatusName,
  /** Remember it beside the last seq, and give both when coming back (`after`, `log`). */
  log: Incarnation,
  /** Where this session starts: everything up to here is taken as received. */
  after: Cursor,
  limits: Schema.Struct({
    frame_bytes: Schema.Int,
    window_results: Schema.Int,
    events_per_second: Schema.Int,
    idle_timeout_ms: Schema.Int,
    /** An id that its client used within so many records of the partition is a repeat. Older gateways do not say. */
    dedupe_records: Schema.optionalKey(Schema.Int),
  }),
})
export type Welcome = typeof Welcome.Type

/** The log has these events. */
export const Accepted = Schema.Struct({ type: Schema.Literal("accepted"), ids: Schema.Array(EventId) })
export type Accepted = typeof Accepted.Type

/**
 * The log has these cancels, and they need not be sent again. Of a task that was open the end follows, whichever it is;
 * otherwise nothing does.
 */
export const Cancelling = Schema.Struct({ type: Schema.Literal("cancelling"), ids: Schema.Array(EventId) })
export type Cancelling = typeof Cancelling.Type

/** This event was not taken, and sending it again as it is will not help; with `retry_ms` it will, after that time. */
export const Refused = Schema.Struct({
  type: Schema.Literal("refused"),
  id: Schema.optionalKey(Schema.String),
  code: Schema.String,
  message: Schema.String,
  /** With `FORBIDDEN`: what is missing. */
  capability: Schema.optionalKey(Schema.String),
  retry_ms: Schema.optionalKey(Schema.Int),
})
export type Refused = typeof Refused.Type

/** One result of an event, one part or the end of a task, or one message: it has `data` or `error`. */
export const ResultItem = Schema.Struct({
  seq: Seq,
  id: EventId,
  name: EventName,
  data: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(Failure),
  /** The id was used before, by the event or message with this seq: no handler ran, and `data` is null. */
  repeated: Schema.optionalKey(Seq),
  /** Of a part or the end of a task: the id of its event. */
  of: Schema.optionalKey(EventId),
  /** Which attempt it is of, from 1. With another one the parts before it are void, unless the numbers go on. */
  attempt: Schema.optionalKey(Schema.Int),
  /** Its number, from 0; of the end: how many parts there are. */
  part: Schema.optionalKey(Schema.Int),
  /** This is the last item of its task. `data` is null, or there is an `error`. */
  end: Schema.optionalKey(TaskOutcome),
  journey: Schema.optionalKey(Schema.Array(JourneyStep)),
})
export type ResultItem = typeof ResultItem.Type

/** Results and messages, in the order of `seq`. */
export const Results = Schema.Struct({ type: Schema.Literal("results"), items: Schema.Array(ResultItem) })
export type Results = typeof Results.Type

/** The status of the client has changed. */
export const StatusFrame = Schema.Struct({ type: Schema.Literal("status"), status: StatusName })
export type StatusFrame = typeof StatusFrame.Type

/** Results after `after` up to `upTo` were removed by retention before the client had them. No `upTo`: range unknown. */
export const Lost = Schema.Struct({
  type: Schema.Literal("lost"),
  after: Cursor,
  upTo: Schema.optionalKey(Seq),
})
export type Lost = typeof Lost.Type

/**
 * Something the client said was wrong; the connection goes on unless a close follows. With `retry_ms` it was too much, and
 * after that time it is not.
 */
export const ErrorFrame = Schema.Struct({
  type: Schema.Literal("error"),
  code: Schema.String,
  message: Schema.String,
  retry_ms: Schema.optionalKey(Schema.Int),
})
export type ErrorFrame = typeof ErrorFrame.Type

/** The token ends in so many seconds: send another one, or the connection is closed then. */
export const Expiring = Schema.Struct({ type: Schema.Literal("expiring"), seconds: Schema.Int })
export type Expiring = typeof Expiring.Type

/** The token of the last `auth` counts from here on. Without `seconds` it does not end by itself. */
export const Authenticated = Schema.Struct({
  type: Schema.Literal("authenticated"),
  seconds: Schema.optionalKey(Schema.Int),
})
export type Authenticated = typeof Authenticated.Type

/** The answer to `ping`. */
export const Pong = Schema.Struct({ type: Schema.Literal("pong") })

/** What a gateway sends. */
export const ServerFrame = Schema.Union([
  Welcome,
  Accepted,
  Cancelling,
  Refused,
  Results,
  StatusFrame,
  Lost,
  ErrorFrame,
  Expiring,
  Authenticated,
  Pong,
])
export type ServerFrame = typeof ServerFrame.Type

/** What is wrong with a frame. */
export interface BadFrame {
  readonly code: "NOT_JSON" | "BAD_FRAME" | "BAD_NUMBER"
  readonly message: string
  /** The id of the event that it seems to be, so that the refusal can name it. */
  readonly id: string | undefined
}

const decodeClientFrame = Schema.decodeUnknownResult(ClientFrame)

/** What a frame's text says, whatever it is. */
export const parseJson = (text: string): Result.Result<unknown, BadFrame> =>
  Result.mapError(parseJsonText(text), (message) => ({ code: "NOT_JSON", message, id: undefined }))

/** Reads what a client sent. A number in it that would not come back as it was sent is refused: `ExactNumbers`. */
export const parseClientFrame = (text: string): Result.Result<ClientFrame, BadFrame> =>
  Result.flatMap(parseJson(text), (frame) => {
    const inexact = inexactNumber(text)
    if (inexact !== undefined) return Result.fail({ code: "BAD_NUMBER", message: inexact, id: idOf(frame) })
    return clientFrameOf(frame, text.length)
  })

/**
 * The same of what `JSON.parse` gave of a text of so many characters. The usual event, cancel and ack are recognised by hand, as
 * the schema would (a property holds the two together); everything else goes through the schema, which words the error.
 * One difference stays where the text was not looked at: a number in `data` that is beyond all bounds (1e999), which
 * nothing but the schema would find, is passed on and written as null.
 */
export const clientFrameOf = (frame: unknown, chars: number): Result.Result<ClientFrame, BadFrame> => {
  if (isNestedTooDeeply(frame, chars)) {
    return Result.fail({ code: "BAD_FRAME", message: nestingMessage, id: idOf(frame) })
  }
  if (isUsualFrame(frame)) return Result.succeed(frame)
  return Result.mapError(decodeClientFrame(frame), (error) => ({
    code: "BAD_FRAME" as const,
    message: error.message,
    id: idOf(frame),
  }))
}

const isUsualFrame = (u: unknown): u is EventFrame | CancelFrame | AckFrame => {
  if (typeof u !== "object" || u === null || !("type" in u)) return false
  const keys = Object.keys(u).length
  if (u.type === "ack") return keys === 2 && "seq" in u && isSeq(u.seq)
  if (u.type === "cancel") return keys === 2 && "id" in u && isShortString(u.id)
  if (u.type !== "event" || !("id" in u) || !("name" in u)) return false
  return keys === ("data" in u ? 4 : 3) && isShortString(u.id) && isShortString(u.name)
}

const isSeq = (u: unknown): boolean => typeof u === "number" && Number.isSafeInteger(u) && u >= 0

const isShortString = (u: unknown): boolean => typeof u === "string" && u.length >= 1 && u.length <= 128

/** A cancel that is refused says nothing of the event that it names, which is not refused. */
const idOf = (u: unknown): string | undefined => {
  if (typeof u !== "object" || u === null || !("id" in u) || typeof u.id !== "string") return undefined
  return "type" in u && u.type === "cancel" ? undefined : u.id.slice(0, 128)
}

const encoder = new TextEncoder()

/** The bytes of a `results` frame before its first item. Items are separated by commas. */
export const resultsPrefix: Uint8Array<ArrayBuffer> = encoder.encode(`{"type":"results","items":[`)

/** The bytes of a `results` frame after its last item. */
export const resultsSuffix: Uint8Array<ArrayBuffer> = encoder.encode("]}")
