/**
 * The journey of one event, after the fact, put together from where its steps were left:
 *
 * | where | found by | what it tells |
 * | --- | --- | --- |
 * | events topic | the seq is its offset | what was sent, the steps of its sender, when it was logged |
 * | results topic | halving: its records come in the order of their seqs | the steps up to its handling |
 * | mailbox | the seq | that it waits there, and the steps of its way there |
 * | tasks topic | the same, of an event that has no result | that it was handed to the task workers |
 * | journey topic | halving by time from the event's own on, then one after the other | the rest |
 *
 * The parts and the end of a task are items with seqs of their own, so the journey of its event ends with its hand-over.
 */
import { Trace } from "@nimbus/domain/observability"
import {
  type ClientId,
  finishedAbove,
  Cursor,
  decodeEvent,
  type Headers,
  isTaskRecord,
  Journey,
  partitionOf,
  peekSeq,
  type Seq,
  type StoredRecord,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { committedBy, EventLog, Mailbox, Topics } from "@nimbus/domain/services"
import { AdminUnavailable, hopsOf, type JourneyView, NotFound, type Payload } from "@nimbus/domain/admin"
import { Effect, Option, Result, Schema } from "effect"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader, Range } from "./LogReader.ts"
import { payloadOf } from "./Payloads.ts"

export const makeJourneys = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const topics = yield* Topics
  const mailbox = yield* Mailbox

  /** The event at this seq; `undefined`: no longer retained. Fails where something else is there, or nothing yet. */
  const eventAt = Effect.fnUntraced(function* (clientId: ClientId, partition: number, seq: Seq) {
    const { upTo } = yield* reader.range(topics.events, partition)
    if (seq >= upTo) return yield* notFound(`the log ends before seq ${seq}`)
    const record = yield* reader.at(topics.events, partition, seq)
    if (record === undefined) return undefined
    const event = decodeEvent(record.value)
    if (record.key !== clientId) return yield* notFound(`seq ${seq} is of another client`)
    if (isTaskRecord(record.value)) return yield* notFound(`seq ${seq} is no event: ${taskIn(record.value)}`)
    if (Result.isFailure(event)) return yield* notFound(`seq ${seq} is no event: ${event.failure.reason}`)
    if (event.success.type === "barrier") return yield* notFound(`seq ${seq} is a barrier, which goes with no event`)
    const { id, name, type } = event.success
    return { record, shown: { type, id, name } }
  })

  const resultOf = Effect.fnUntraced(function* (clientId: ClientId, partition: number, seq: Seq) {
    const found = yield* reader.find(topics.results, partition, ({ value }) => (peekSeq(value) ?? -1) < seq)
    return found?.key === clientId && peekSeq(found.value) === seq ? found : undefined
  })

  /** The note by which an event was handed to the task workers, among those that came shortly after it. */
  const openingOf = Effect.fnUntraced(function* (clientId: ClientId, partition: number, seq: Seq, from_ms: number) {
    const isEarlier = ({ timestamp }: StoredRecord) => timestamp < from_ms - skew_ms
    const first = yield* reader.find(topics.tasks, partition, isEarlier)
    if (first === undefined) return undefined
    const { upTo } = yield* reader.range(topics.tasks, partition)
    const range = { from: first.offset, upTo: Math.min(upTo, first.offset + limits.journey_scan_records) }
    let found: StoredRecord | undefined
    const take = (records: ReadonlyArray<StoredRecord>) =>
      Effect.sync(() => (found ??= records.find(({ key, value }) => key === clientId && isOpeningOf(value, seq))))
    yield* reader.read(topics.tasks, partition, range, take)
    return found
  })

  const inMailbox = (clientId: ClientId, seq: Seq) =>
    Effect.map(
      mailbox.page(clientId, Cursor.make(seq - 1), { results: 1, bytes: 1 }),
      ({ acked, records: [first] }) => ({ acked, item: first?.seq === seq ? first : undefined }),
    ).pipe(Effect.mapError(({ code }) => new AdminUnavailable({ message: `the mailbox can't be read: ${code}` })))

  /** All that may hold late steps, or its two ends where that is too much: steps come soon, or as late as the client. */
  const lateRanges = Effect.fnUntraced(function* (partition: number, from_ms: number | undefined) {
    const { from, upTo } = yield* reader.range(topics.journey, partition)
    const first =
      from_ms === undefined
        ? undefined
        : yield* reader.find(topics.journey, partition, ({ timestamp }) => timestamp < from_ms - skew_ms)
    if (from_ms !== undefined && first === undefined) return []
    const begin = first?.offset ?? from
    if (upTo - begin <= limits.journey_scan_records) return [{ from: begin, upTo }]
    const half = Math.floor(limits.journey_scan_records / 2)
    return [
      { from: begin, upTo: begin + half },
      { from: upTo - half, upTo },
    ]
  })

  const lateSteps = Effect.fnUntraced(function* (clientId: ClientId, partition: number, seq: Seq, from_ms?: number) {
    const found: Array<Journey.JourneyStep> = []
    const take = (records: ReadonlyArray<StoredRecord>) =>
      Effect.sync(() => {
        for (const { key, value } of records) if (key === clientId) found.push(...lateStepsOf(value, seq))
      })
    const ranges: ReadonlyArray<Range> = yield* lateRanges(partition, from_ms)
    yield* Effect.forEach(ranges, (range) => reader.read(topics.journey, partition, range, take), { discard: true })
    return found
  })

  /** Where it stands while nothing later is known: not handled yet, or gone on to where it is no longer seen. */
  const isUnhandled = (partition: number, seq: Seq) =>
    committedBy(log, "event-consumer", topics, partition).pipe(
      Effect.map(
        (committed) =>
          committed === undefined || (committed.next <= seq && !finishedAbove(committed, log.incarnation).has(seq)),
      ),
      Effect.mapError(({ code, topic }) => new AdminUnavailable({ message: `${topic}: ${code}` })),
    )

  return Effect.fn("Journeys.journey")(function* (clientId: ClientId, seq: Seq) {
    const partition = partitionOf(clientId, log.partitions)
    const event = yield* eventAt(clientId, partition, seq)
    const [result, { acked, item }] = yield* Effect.all(
      [resultOf(clientId, partition, seq), inMailbox(clientId, seq)],
      { concurrency: 2 },
    )
    const opening =
      event?.shown.type === "event" && result === undefined && item === undefined
        ? yield* openingOf(clientId, partition, seq, event.record.timestamp)
        : undefined
    const handled = opening ?? result
    const kept: ReadonlyArray<Headers | undefined> = [event?.record.headers, handled?.headers, item?.headers]
    const mayBeSampled = event === undefined || kept.some(Journey.isSampled)
    const from_ms = event?.record.timestamp ?? result?.timestamp
    const late = mayBeSampled ? yield* lateSteps(clientId, partition, seq, from_ms) : []
    const steps = [...kept.flatMap((headers) => Journey.steps(headers)), ...late]
    if (event === undefined && result === undefined && item === undefined && steps.length === 0) {
      return yield* notFound(`seq ${seq} is no longer retained, and nothing else is known of it`)
    }
    const isAcknowledged = acked >= seq || steps.some(({ step }) => step === "acknowledged")
    const seen = placeOf({ opening, isAcknowledged, item, result })
    const isWaiting = seen === undefined && event !== undefined && (yield* isUnhandled(partition, seq))
    const place = seen ?? (isWaiting ? "events" : "unknown")
    const shown = (record: { readonly value: Uint8Array } | undefined) =>
      record === undefined ? undefined : payloadOf(record.value, limits.journey_payload_bytes)
    return viewOf({
      clientId,
      seq,
      place,
      steps,
      kept,
      event,
      sent: shown(event?.record),
      result: shown(result ?? item),
      incarnation: log.incarnation,
      topic: topics.events,
      partition,
    })
  })
})

/** Where the furthest of what is known of it stands. Acks say nothing of a task, whose event has no place among the items. */
const placeOf = (known: {
  readonly opening: unknown
  readonly isAcknowledged: boolean
  readonly item: unknown
  readonly result: unknown
}): JourneyView["place"] | undefined => {
  if (known.opening !== undefined) return "tasks"
  if (known.isAcknowledged) return "acknowledged"
  if (known.item !== undefined) return "mailbox"
  return known.result === undefined ? undefined : "results"
}

/** What a record of a task has to do with. */
const taskIn = (value: Uint8Array): string => {
  const write = TaskRecords.decodeTaskWrite(value)
  if (Result.isFailure(write)) return write.failure.reason
  const { do: what, task } = write.success
  return typeof task === "string"
    ? `it cancels the task of the event ${task}`
    : `it is ${what === "end" ? "an" : "a"} ${what} of the task whose event has the seq ${task}`
}

const isOpeningOf = (value: Uint8Array, seq: Seq): boolean => {
  const note = TaskRecords.decodeTaskNote(value)
  return Result.isSuccess(note) && note.success.is === "open" && note.success.task === seq
}

/** Clocks of the log and of gateways may differ by so much. */
const skew_ms = 10_000

const notFound = (message: string) => Effect.fail(new NotFound({ message }))

const decodeLate = Schema.decodeOption(Schema.fromJsonString(Journey.LateSteps))
const decoder = new TextDecoder()

const lateStepsOf = (value: Uint8Array, seq: Seq): ReadonlyArray<Journey.JourneyStep> =>
  Option.match(decodeLate(decoder.decode(value)), {
    onNone: () => [],
    onSome: (late) => (late.seq === seq ? late.steps : []),
  })

interface Known {
  readonly clientId: ClientId
  readonly seq: Seq
  readonly place: JourneyView["place"]
  readonly steps: ReadonlyArray<Journey.JourneyStep>
  readonly kept: ReadonlyArray<Headers | undefined>
  readonly event: { readonly record: StoredRecord; readonly shown: NonNullable<JourneyView["event"]> } | undefined
  readonly sent: Payload | undefined
  readonly result: Payload | undefined
  readonly incarnation: string
  readonly topic: string
  readonly partition: number
}

const viewOf = (known: Known): JourneyView => {
  const { clientId, event, incarnation, kept, partition, place, result, sent, seq, steps, topic } = known
  const isFollowed = steps.length > 0 || kept.some(Journey.isSampled)
  const isLogged = steps.some(({ step }) => step === "logged")
  // The log itself knows when it took the event.
  const logged = event === undefined || isLogged ? [] : [loggedStep(event.record, incarnation, topic, partition)]
  const hops = hopsOf([...steps, ...logged], place)
  const traceId = kept.map(traceIdOf).find((id) => id !== undefined)
  return {
    clientId,
    seq,
    ...(event === undefined ? {} : { event: event.shown }),
    ...(sent === undefined ? {} : { sent }),
    ...(result === undefined ? {} : { result }),
    isFollowed,
    ...(traceId === undefined ? {} : { traceId }),
    place,
    // Of an event that is not sampled no step was ever to be kept.
    hops: isFollowed ? hops : hops.filter(({ _tag }) => _tag === "Seen"),
  }
}

const loggedStep = (record: StoredRecord, instance: string, topic: string, partition: number): Journey.JourneyStep => ({
  time: record.timestamp,
  service: "log",
  instance,
  step: "logged",
  details: { topic, partition: String(partition), offset: String(record.offset) },
})

/** Of a W3C `traceparent`: version, trace id, span id, flags. */
const traceIdOf = (headers: Headers | undefined): string | undefined =>
  /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(headers?.[Trace.header] ?? "")?.[1]
