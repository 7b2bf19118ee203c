/**
 * The records of the protocol and their wire formats.
 *
 * Every record's key is the client id, and its value is JSON that is encoded once and then carried as bytes:
 *
 * ```
 * events topic        {"type":"event","id":"e1","name":"sq","data":{"number":7}}       Event
 *                     {…,"data":…,"accepted":{"created_at":"2026-01-01T00:00:00.000Z"}} Event, whose client is told
 *                     when {"type":"message","id":"m1","name":"news","data":…}              Event, from a Publisher
 *                     {"type":"barrier","epoch":1790000000000,"pod":"p1","number":1}   Barrier
 * results, backlog topics {"seq":12,"id":"e1","name":"sq","data":{"number":7,"result":49}} Result
 * and mailboxes       {"seq":12,"id":"e1","name":"sq","error":{"code":…,"message":…}}  Result of a failure
 *                     {…,"accepted":{"created_at":…,"completed_at":…,"data":…}}        Result of such an event
 *                     {"seq":12,"barrier":{"epoch":1790000000000,"pod":"p1","number":1}} Barrier, on its way
 * backlog, mailboxes      {"seq":12,"barrier":{…,"route":"x7k.4"}}                         Barrier that made a route
 *                     {"seq":15,"id":"e1","name":"sq","data":null,"repeated":12}       Result of a repeat
 * ```
 *
 * A barrier from before numbers and routes has neither. It is carried and passed like any other, and makes nobody LIVE.
 *
 * A client of NimbusWS is told the event that it sent with its result (docs/approaches.md). So what was accepted, and
 * when, travels in the records themselves, for headers are not kept everywhere. `accepted` in another form than these
 * is passed over: clients of other transports may have a key of that name for themselves.
 *
 * A result's bytes are the very item that the client gets in a `results` frame. Its seq stands first, in this one
 * spelling, so that routers and mailboxes read it (`peek`) without parsing the rest.
 */
import { Effect, Predicate, Result as Res, Schema } from "effect"
import { CorruptRecord } from "../Errors.ts"
import { ClientId, Cursor, Epoch, EventId, PodId, RouteId, Seq, seqUnsafe } from "./Ids.ts"
import { utf8 } from "./internal/Utf8.ts"
import { membersOf } from "../json/JsonMembers.ts"

/** Beside a record's bytes, never inside them: the event's journey. */
export type Headers = Readonly<Record<string, string>>

/** A record to be written. `value` must not be changed after it was handed over. */
export interface LogRecord {
  readonly key: string
  readonly value: Uint8Array
  readonly headers?: Headers | undefined
}

/**
 * What a record counts for, against limits in bytes: all of it, for others may put as much beside a value as into it.
 */
export const recordBytes = ({ headers, key, value }: LogRecord): number => {
  let bytes = key.length + value.length
  if (headers !== undefined) for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0)
  return bytes
}

/**
 * The most bytes that a record may take up in a log, with what a log writes beside it: lengths and offsets, and three
 * bytes for each character of a text.
 */
export const roomOf = ({ headers, key, value }: LogRecord): number => {
  let room = 32 + 3 * key.length + value.length
  if (headers !== undefined) for (const name in headers) room += 10 + 3 * (name.length + (headers[name]?.length ?? 0))
  return room
}

/**
 * A record as the log holds it. Others may write into the log too: a key that is not there is "", a value or header
 * that is not there is empty, and text that is no UTF-8 has replacement characters.
 */
export interface StoredRecord extends LogRecord {
  readonly offset: number
  /** The log's, in ms since 1970: at least 0, and a time that a `Date` can say. */
  readonly timestamp: number
  /**
   * Why this is no record: it stands for some that are there and can't be read, at the first of their offsets. The key
   * is "", and the value is how they are stored, or the beginning of that. A reader that must not miss anything
   * quarantines it.
   */
  readonly unreadable?: string
}

/** One record of one client on its way to it: what a push carries and what a mailbox keeps. */
export interface Item {
  readonly seq: Seq
  readonly value: Uint8Array
  readonly headers?: Headers | undefined
}

/** The name of an event's handler, or of a message: 1 to 128 characters. */
export const EventName = Schema.String.check(Schema.isBetweenLength(1, 128))

/** A moment as `Date.toISOString` writes it. */
const Timestamp = Schema.String.check(Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/))

/** When a gateway took an event, for its client to be told with the result too. */
export const Acceptance = Schema.Struct({
  created_at: Timestamp,
  /** The client sent no data, which handlers see as null. */
  without_data: Schema.optionalKey(Schema.Literal(true)),
})
export type Acceptance = typeof Acceptance.Type

/** An event that has come to its result: when it was taken and when it was handled, and the data, if it had any. */
export const Completion = Schema.Struct({
  created_at: Timestamp,
  completed_at: Timestamp,
  data: Schema.optionalKey(Schema.Json),
})
export type Completion = typeof Completion.Type

/** What is not as the schema has it counts as not there. */
const orAbsent = <A, I>(schema: Schema.Codec<A, I>) =>
  Schema.optionalKey(schema.pipe(Schema.catchDecoding(() => Effect.succeedNone)))

/** What a client sent (`event`), or another service (`message`, which no handler sees). */
export const Event = Schema.Struct({
  type: Schema.Literals(["event", "message"]),
  id: EventId,
  name: EventName,
  data: Schema.Json,
  accepted: orAbsent(Acceptance),
})
export type Event = typeof Event.Type

/** Which of its session's barriers one is, from 1. */
export const BarrierNumber = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/** A question to the whole pipeline: when this comes out of the mailbox, nothing of the client is left before it. */
export const Barrier = Schema.Struct({
  type: Schema.Literal("barrier"),
  epoch: Epoch,
  pod: PodId,
  number: Schema.optionalKey(BarrierNumber),
})
export type Barrier = typeof Barrier.Type

/** A record of the events topic. */
export const EventRecord = Schema.Union([Event, Barrier])
export type EventRecord = typeof EventRecord.Type

/** Why an event has no data in its result. Codes are rows of `docs/errors.md`. */
export const Failure = Schema.Struct({ code: Schema.String, message: Schema.String })
export type Failure = typeof Failure.Type

/** How a task has ended. `cancelled` has no error. */
export const TaskOutcome = Schema.Literals(["done", "failed", "cancelled"])
export type TaskOutcome = typeof TaskOutcome.Type

/** A record of the results topic: what came of one event. It has `data` or `error`. */
export const Result = Schema.Struct({
  seq: Seq,
  id: EventId,
  name: EventName,
  data: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(Failure),
  accepted: orAbsent(Completion),
  /** Of a part or the end of a task: the id of its event. */
  of: Schema.optionalKey(EventId),
  attempt: Schema.optionalKey(Schema.Int),
  part: Schema.optionalKey(Schema.Int),
  end: Schema.optionalKey(TaskOutcome),
  /** The id was used before: no handler ran, and what came of it is that of the event or message with this seq. */
  repeated: Schema.optionalKey(Seq),
})
export type Result = typeof Result.Type

/**
 * A barrier with its seq, in the results and backlog topics and in mailboxes. From the backlog on it names the route
 * that it made.
 */
export const PlacedBarrier = Schema.Struct({
  seq: Seq,
  barrier: Schema.Struct({
    epoch: Epoch,
    pod: PodId,
    number: Schema.optionalKey(BarrierNumber),
    route: Schema.optionalKey(RouteId),
  }),
})
export type PlacedBarrier = typeof PlacedBarrier.Type

/**
 * A push states a fact to whoever is LIVE by the barrier of its route: nothing of this client lies between `prev` and
 * `seq` that is not in its mailbox already.
 */
export interface Push extends Item {
  readonly _tag: "Push"
  readonly clientId: ClientId
  readonly prev: Seq
  readonly route: RouteId
}
/** A hint: there may be something in the mailbox. */
export const MailboxHint = Schema.TaggedStruct("Mail", { clientId: ClientId })
export type MailboxHint = typeof MailboxHint.Type
/** What the protocol sends to a gateway. */
export type Delivering = Push | MailboxHint

/** An operator wants this client's connection closed. To the protocol that is a disconnect like any other. */
export const Kick = Schema.TaggedStruct("Kick", { clientId: ClientId })
export type Kick = typeof Kick.Type
/** An operator wants this gateway to send its clients away and take no new ones. */
export const Drain = Schema.TaggedStruct("Drain", {})
export type Drain = typeof Drain.Type

/** What a gateway is sent: pushes, and what operators order. */
export type PodMessage = Delivering | Kick | Drain

/** The client has everything up to `seq`. Cumulative. */
export const Ack = Schema.TaggedStruct("Ack", { clientId: ClientId, seq: Cursor })
export type Ack = { readonly _tag: "Ack"; readonly clientId: ClientId; readonly seq: Cursor }
/**
 * This pod can't take the client's pushes of this route now: one that comes late must not end a route that was made
 * meanwhile. Without a route, those of whichever it has: the client takes no pushes at all any more.
 */
export const Nack = Schema.TaggedStruct("Nack", { clientId: ClientId, route: Schema.optionalKey(RouteId) })
export type Nack = typeof Nack.Type

/** What a router is sent by gateways. */
export type AckMessage = Ack | Nack

const decoder = new TextDecoder("utf-8", { fatal: true })

/** The bytes of a record of the events, results or backlog topic. */
export const encode = (record: EventRecord | Result | PlacedBarrier): Uint8Array => utf8(JSON.stringify(record))

/** A result's bytes: `seq` first, whatever order the caller's fields have. */
export const encodeResult = (result: Result): Uint8Array => utf8(`${head(result)}${accepted(result)}}`)

/** What a repeat has instead of a result. */
export const repeatOf = ({ id, name }: Event, seq: Seq, first: Seq): Result => ({
  seq,
  id,
  name,
  data: null,
  repeated: first,
})

/** `written`: the data as text, where it is there already. */
const head = ({ data, error, id, name, repeated, seq }: Result, written = JSON.stringify(data ?? null)): string =>
  error === undefined
    ? `{"seq":${seq},"id":${JSON.stringify(id)},"name":${JSON.stringify(name)},"data":${written}${repeatedOf(repeated)}`
    : `{"seq":${seq},"id":${JSON.stringify(id)},"name":${JSON.stringify(name)},"error":${JSON.stringify(error)}`

const repeatedOf = (first: Seq | undefined): string => (first === undefined ? "" : `,"repeated":${first}`)

const accepted = (result: Result): string =>
  result.accepted === undefined ? "" : `,"accepted":${JSON.stringify(result.accepted)}`

/** An event that a client is told about with its result. `data` is the client's own JSON, if it sent any. */
export const encodeAcceptedEvent = (
  { id, name }: { readonly id: EventId; readonly name: string },
  created_at: string,
  data: string | undefined,
): Uint8Array => {
  const acceptance: Acceptance = data === undefined ? { created_at, without_data: true } : { created_at }
  return utf8(
    `{"type":"event","id":${JSON.stringify(id)},"name":${JSON.stringify(name)},"data":${data ?? "null"},` +
      `"accepted":${JSON.stringify(acceptance)}}`,
  )
}

/**
 * The bytes of the result of such an event. What the client sent is taken out of the event's own bytes, as it is
 * written there: parsed and written again, a large integer would be another one. `isEcho`: the handler has answered
 * just that, so it is written in the same way.
 */
export const encodeCompleted = (
  result: Result,
  { created_at, without_data }: Acceptance,
  completed_at: string,
  event: Uint8Array,
  isEcho: boolean,
): Uint8Array => {
  const times = `"created_at":"${created_at}","completed_at":"${completed_at}"`
  const written = membersOf(decoder.decode(event)).get("data") ?? "null"
  const data = without_data === true ? "" : `,"data":${written}`
  return utf8(`${isEcho ? head(result, written) : head(result)},"accepted":{${times}${data}}}`)
}

/** A barrier as it leaves the event consumer, or with its route a router. */
export const encodePlacedBarrier = (seq: Seq, { epoch, number, pod, route }: PlacedBarrier["barrier"]): Uint8Array => {
  const numbered = number === undefined ? "" : `,"number":${number}`
  const routed = route === undefined ? "" : `,"route":${JSON.stringify(route)}`
  return utf8(`{"seq":${seq},"barrier":{"epoch":${epoch},"pod":${JSON.stringify(pod)}${numbered}${routed}}}`)
}

const corrupt = (reason: string) => Res.fail(new CorruptRecord({ reason }))

const json = (value: Uint8Array): Res.Result<unknown, CorruptRecord> => {
  try {
    return Res.succeed(JSON.parse(decoder.decode(value)))
  } catch (error) {
    return corrupt(error instanceof Error ? error.message : String(error))
  }
}

/**
 * What is usual is recognised by hand, as the schema would (a property holds the two together); everything else goes
 * through the schema, which words the error.
 */
const decodeWith = <A, I>(schema: Schema.Codec<A, I>, isUsual: (u: unknown) => u is A) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: Uint8Array): Res.Result<A, CorruptRecord> => {
    const parsed = json(value)
    if (Res.isFailure(parsed)) return Res.fail(parsed.failure)
    if (isUsual(parsed.success)) return Res.succeed(parsed.success)
    return Res.mapError(decode(parsed.success), (e) => new CorruptRecord({ reason: e.message }))
  }
}

/**
 * Of what `JSON.parse` gives: its `data` is JSON already. No transport lets a number in that is beyond all bounds; one
 * that is in the log from before is written as null.
 */
const isUsualEvent = (u: unknown): u is Event =>
  typeof u === "object" &&
  u !== null &&
  "type" in u &&
  (u.type === "event" || u.type === "message") &&
  "id" in u &&
  isShortString(u.id) &&
  "name" in u &&
  isShortString(u.name) &&
  "data" in u &&
  Object.keys(u).length === ("accepted" in u ? (isUsualAcceptance(u.accepted) ? 5 : -1) : 4)

const isUsualAcceptance = (u: unknown): boolean =>
  typeof u === "object" && u !== null && "created_at" in u && isTimestamp(u.created_at) && Object.keys(u).length === 1

const isUsualCompletion = (u: unknown): boolean =>
  typeof u === "object" &&
  u !== null &&
  "created_at" in u &&
  isTimestamp(u.created_at) &&
  "completed_at" in u &&
  isTimestamp(u.completed_at) &&
  "data" in u &&
  Object.keys(u).length === 3

const isTimestamp = Schema.is(Timestamp)

const isShortString = (u: unknown): boolean => typeof u === "string" && u.length >= 1 && u.length <= 128

const isUsualResult = (u: unknown): u is Result =>
  typeof u === "object" &&
  u !== null &&
  "seq" in u &&
  Number.isSafeInteger(u.seq) &&
  Number(u.seq) >= 0 &&
  "id" in u &&
  isShortString(u.id) &&
  "name" in u &&
  isShortString(u.name) &&
  "data" in u &&
  Object.keys(u).length === ("accepted" in u ? (isUsualCompletion(u.accepted) ? 5 : -1) : 4)

/** Decodes a record of the events topic: an event, a message or a barrier. */
export const decodeEvent = decodeWith<EventRecord, typeof EventRecord.Encoded>(EventRecord, isUsualEvent)

/** Decodes a result, of the results or backlog topic or of a mailbox. */
export const decodeResult = decodeWith(Result, isUsualResult)

/** Decodes a barrier, of the results or backlog topic or of a mailbox. */
export const decodePlacedBarrier = decodeWith(PlacedBarrier, Predicate.isNever)

const prefix = utf8(`{"seq":`)
const comma = 44
const quote = 34
const letterB = 98
/** `,"id":` and `,"barrier":` differ in their third byte; a valid record has more than this after its digits. */
const shortestTail = 8

/**
 * The seq of a record of the results or backlog topic, from its first bytes; `undefined` where they are not ours.
 * Results return through one number to keep the hot path free of objects: see `isBarrier`.
 */
export const peekSeq = (value: Uint8Array): Seq | undefined => {
  const length = value.length
  for (let i = 0; i < prefix.length; i++) if (value[i] !== prefix[i]) return undefined
  let i = prefix.length
  let seq = 0
  for (; i < length; i++) {
    const digit = value[i]! - 48
    if (digit < 0 || digit > 9) break
    seq = seq * 10 + digit
  }
  if (i === prefix.length || i - prefix.length > 16 || seq > Number.MAX_SAFE_INTEGER) return undefined
  if (i + shortestTail > length || value[i] !== comma || value[i + 1] !== quote) return undefined
  return seqUnsafe(seq)
}

/** Whether a record whose seq was peeked is a barrier. */
export const isBarrier = (value: Uint8Array): boolean => {
  let i = prefix.length
  while (value[i] !== comma && i < value.length) i++
  return value[i + 2] === letterB
}

const taskPrefix = utf8(`{"task":`)

/** Whether a record of the events topic has to do with a task (`TaskRecords`), by its first bytes. */
export const isTaskRecord = (value: Uint8Array): boolean => {
  for (let i = 0; i < taskPrefix.length; i++) if (value[i] !== taskPrefix[i]) return false
  return true
}
