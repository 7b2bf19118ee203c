/**
 * Publishing events anew: what a client has missed for good, or what could not be decoded once.
 *
 * An event keeps its name, its data and its caller, and gets a new id and, from the log, a new seq. Its old seq would rightly be dropped as
 * a repeat by everyone who has seen it: that is what makes delivery exactly once.
 */
import { callerOnly } from "@nimbus/domain/access"
import { chunkLimits } from "@nimbus/domain/limits"
import {
  type ClientId,
  decodeEvent,
  decodeResult,
  encode,
  type Event,
  EventId,
  type Headers,
  isClientId,
  Journey,
  partitionOf,
  Quarantined,
  type Seq,
  seqUnsafe,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { JourneyRecorder } from "@nimbus/domain/observability"
import { EventLog, RandomIds, Topics } from "@nimbus/domain/services"
import { AdminUnavailable, NotFound, NotPossible, type Republished } from "@nimbus/domain/admin"
import { Effect, Result } from "effect"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader } from "./LogReader.ts"
import type { Place } from "./QuarantineViews.ts"

export const makeRepublishing = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const topics = yield* Topics
  const ids = yield* RandomIds
  const instance = `admin-${ids.uuid().slice(0, 8)}`
  const recorder = yield* JourneyRecorder.make({ service: "admin", instance })

  const renew = (steps: JourneyRecorder.ChunkRecorder, clientId: ClientId, { caller, event, isFollowed }: Old) => {
    const id = EventId.make(ids.uuid())
    const details = { rule: Journey.rules.accepted }
    const headers = isFollowed ? steps.step("accepted", { clientId, from: caller, details }) : caller
    return { id, record: { key: clientId, value: encode({ ...event, id }), headers } }
  }

  /** Publishes some in one request; returns the new ones in their order. */
  const publish = Effect.fnUntraced(function* (clientId: ClientId, some: ReadonlyArray<Old>) {
    const steps = recorder.chunk()
    const renewed = some.map((old) => renew(steps, clientId, old))
    const records = renewed.map(({ record }) => record)
    const first = yield* log
      .publish(topics.events, partitionOf(clientId, log.partitions), records)
      .pipe(Effect.onExit((exit) => steps.end(exit)))
    return some.map(({ oldSeq }, i) => ({ oldSeq, newSeq: seqUnsafe(first + i), newId: renewed[i]!.id }))
  })

  /** The client's events from a seq on, as many as one call may publish; and where to go on, if there are more. */
  const collect = Effect.fnUntraced(function* (clientId: ClientId, from: Seq, upTo: number) {
    const partition = partitionOf(clientId, log.partitions)
    const end = Math.min(upTo, from + limits.replay_scan_records)
    const found: Array<Old & { readonly bytes: number }> = []
    let bytes = 0
    let stopped: number | undefined
    const looked = yield* reader.read(topics.events, partition, { from, upTo: end }, (records) =>
      Effect.sync(() => {
        for (const record of records) {
          if (record.key !== clientId || stopped !== undefined) continue
          const event = eventOf(record)
          if (event === undefined) continue
          bytes += record.value.length
          if (found.length >= limits.replay_events || (bytes > limits.replay_bytes && found.length > 0)) {
            stopped = record.offset
          } else found.push({ ...event, bytes: record.value.length })
        }
      }),
    )
    return { found, next: stopped ?? (looked < upTo ? looked : undefined) }
  })

  const replay = Effect.fn("Republishing.replay")(function* (clientId: ClientId, from: Seq, asked?: Seq) {
    const partition = partitionOf(clientId, log.partitions)
    const retained = yield* reader.range(topics.events, partition)
    const upTo = Math.min(asked ?? retained.upTo, retained.upTo)
    if (from >= upTo) return yield* notPossible(`there is nothing from seq ${from} on: the log ends at ${upTo}`)
    const { found, next } = yield* collect(clientId, seqUnsafe(Math.max(from, retained.from)), upTo)
    const events: Array<Republished["events"][number]> = []
    for (const slice of slicesOf(found)) {
      const published = yield* Effect.result(publish(clientId, slice))
      if (Result.isSuccess(published)) events.push(...published.success)
      else if (events.length === 0) return yield* unavailable(published.failure)
      // What is published is told, and where to go on: the log may have taken this slice too.
      else return toRepublished(events, { from: slice[0]!.oldSeq, upTo }, limits)
    }
    return toRepublished(events, next === undefined ? undefined : { from: next, upTo }, limits)
  })

  const retry = Effect.fn("Republishing.retry")(function* (place: Place) {
    const record =
      place.partition < log.partitions ? yield* reader.at(topics.quarantine, place.partition, place.offset) : undefined
    if (record === undefined) return yield* new NotFound({ message: "nothing is quarantined there" })
    const label = Quarantined.decode(record.headers)
    if (label === undefined || [topics.chats, topics.messages].includes(label.from.topic)) {
      return yield* notPossible("only what was to become a client's result can be published anew")
    }
    if (!isClientId(record.key)) return yield* notPossible("its key is no client id")
    const event = label.from.topic === topics.events ? decodedEvent(record) : decodedResult(record)
    if (Result.isFailure(event)) return yield* notPossible(`it still can't be decoded: ${event.failure}`)
    const old = oldOf(label.from.offset, event.success, record)
    return yield* publish(record.key, [old]).pipe(
      Effect.map((events) => toRepublished(events, undefined, limits)),
      Effect.catch(unavailable),
    )
  })

  return { replay, retry }
})

/** An event as it stands in the log. */
interface Old {
  readonly oldSeq: Seq
  readonly event: Event
  readonly isFollowed: boolean
  /** The header that names who caused it. */
  readonly caller: Headers | undefined
}

const eventOf = (record: StoredRecord): Old | undefined => {
  const event = decodedEvent(record)
  if (Result.isFailure(event)) return undefined
  return oldOf(record.offset, event.success, record)
}

const oldOf = (offset: number, event: Event, { headers }: StoredRecord): Old => ({
  oldSeq: seqUnsafe(offset),
  event,
  isFollowed: Journey.isSampled(headers),
  caller: callerOnly(headers),
})

const decodedEvent = ({ value }: StoredRecord): Result.Result<Event, string> => {
  const event = decodeEvent(value)
  if (Result.isFailure(event)) return Result.fail(event.failure.reason)
  return event.success.type === "barrier" ? Result.fail("it is a barrier") : Result.succeed(event.success)
}

/** A result goes on as a message, which no handler sees, under its name. */
const decodedResult = ({ value }: StoredRecord): Result.Result<Event, string> => {
  const result = decodeResult(value)
  if (Result.isFailure(result)) return Result.fail(result.failure.reason)
  const { data, id, name } = result.success
  return data === undefined ? Result.fail("it is an error") : Result.succeed({ type: "message", id, name, data })
}

/** In order, each for one request to the log. */
const slicesOf = <A extends { readonly bytes: number }>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  const slices: Array<Array<A>> = []
  let bytes = Infinity
  for (const one of all) {
    const slice = slices.at(-1)
    if (
      slice === undefined ||
      slice.length >= chunkLimits.chunk_records ||
      bytes + one.bytes > chunkLimits.chunk_bytes
    ) {
      slices.push([one])
      bytes = one.bytes
    } else {
      slice.push(one)
      bytes += one.bytes
    }
  }
  return slices
}

const toRepublished = (
  events: Republished["events"],
  next: { readonly from: number; readonly upTo: number } | undefined,
  { named_events }: AdminLimits,
): Republished => ({
  published: events.length,
  events: events.slice(0, named_events),
  ...(next === undefined ? {} : { next: { from: seqUnsafe(next.from), upTo: seqUnsafe(next.upTo) } }),
})

const notPossible = (message: string) => Effect.fail(new NotPossible({ message }))

const unavailable = ({ code, topic }: { readonly code: string; readonly topic: string }) =>
  Effect.fail(new AdminUnavailable({ message: `${topic} takes nothing now: ${code}` }))
