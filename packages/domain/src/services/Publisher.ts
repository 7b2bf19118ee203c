/**
 * Sends messages to clients, and cancels their tasks, from any Effect service that has an `EventLog`.
 *
 * A message enters through the events topic, passes the event consumer unhandled, and is ordered, replayed and
 * acknowledged like the result of an event, under the name that the sender gives it.
 */
import * as Elapsed from "../observability/Elapsed.ts"
import { Context, Effect, Layer, Result, Schema } from "effect"
import { BadBatch, type PublishError } from "../Errors.ts"
import { chunksOf } from "../protocol/ChunksOf.ts"
import { EventLog } from "./EventLog.ts"
import { eventBytes } from "./Fitting.ts"
import { ClientId, EventId, type Seq, seqUnsafe } from "../protocol/Ids.ts"
import * as Journey from "../protocol/Journey.ts"
import { TokenBucket } from "../pacing/TokenBucket.ts"
import { type ChunkLimits, chunkLimits, type JourneyLimits, journeyLimits } from "../Limits.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import { encode, EventName, type LogRecord, roomOf } from "../protocol/Records.ts"
import { encodeTask } from "../protocol/TaskRecords.ts"
import { RandomIds } from "./RandomIds.ts"
import { Topics } from "./Topics.ts"
import * as JourneyRecorder from "../observability/JourneyRecorder.ts"
import * as Trace from "../observability/Trace.ts"

/** What a client is to get. Without an id the publisher makes one. */
export const Message = Schema.Struct({
  id: Schema.optionalKey(EventId),
  name: EventName,
  data: Schema.Json,
})
export type Message = typeof Message.Type

/** A message and who is to get it. */
export const AddressedMessage = Schema.Struct({ clientId: ClientId, ...Message.fields })
export type AddressedMessage = typeof AddressedMessage.Type

/** The log has the message: `seq` is its place there, and the client will get it under this seq and id. */
export interface Receipt {
  readonly id: EventId
  readonly seq: Seq
}

/**
 * Sends messages to clients, connected or not. Each becomes an item of `results` in its place in the order of that
 * client.
 */
export class Publisher extends Context.Service<
  Publisher,
  {
    /** Sends one message; done when the log has it. */
    send(clientId: ClientId, message: Message): Effect.Effect<Receipt, BadBatch | PublishError>
    /**
     * Sends a batch, in as few publishes as the topic takes; done when the log has all of it, with the receipts in its
     * order. A client gets its messages in the order of the batch. `BadBatch`: nothing was published. Otherwise any
     * part may have been, and sending it again may deliver that part twice. If the sender chose the ids, the second copy is
     * a repeat, as far as `dedupe_records` reaches back: it has a receipt too, and the client gets it without data, with
     * `repeated`. All messages to one client share their ids, whoever sends them.
     */
    sendAll(batch: ReadonlyArray<AddressedMessage>): Effect.Effect<ReadonlyArray<Receipt>, BadBatch | PublishError>
    /**
     * Cancels a client's tasks in its name, by the ids of their events; done when the log has all of it, with the places of
     * the cancels in their order. A task that is open ends, and its client gets its end. One that has ended, or an id of
     * none, is no error. Cancelling again changes nothing. `BadBatch`: nothing was published.
     */
    cancelAll(
      clientId: ClientId,
      ids: ReadonlyArray<EventId>,
    ): Effect.Effect<ReadonlyArray<Receipt>, BadBatch | PublishError>
  }
>()("@nimbus/domain/Publisher") {
  /** A batch has at most `chunk_records` messages or cancels, and `chunk_bytes` encoded bytes. Beyond: `BadBatch`. */
  static readonly layerWith = (options: Partial<PublisherOptions>): Layer.Layer<Publisher, never, EventLog | Topics> =>
    Layer.effect(
      Publisher,
      Effect.suspend(() => makePublisher({ ...chunkLimits, ...journeyLimits, service: "publisher", ...options })),
    )

  static readonly layer = Publisher.layerWith({})
}

export interface PublisherOptions extends ChunkLimits, JourneyLimits {
  /** Who it is in the journeys of its messages. Default: `publisher`, and a random instance. */
  readonly service: string
  readonly instance: string
}

type Options = Omit<PublisherOptions, "instance"> & Partial<PublisherOptions>

const makePublisher = Effect.fnUntraced(function* (options: Options) {
  const log = yield* EventLog
  const topics = yield* Topics
  const { events } = topics
  const instance = options.instance ?? `publisher-${(yield* RandomIds).uuid()}`
  const recorder = yield* JourneyRecorder.make({ service: options.service, instance })
  const sample = yield* makeSampler(options)

  /** Returns a seq for each record. */
  const publishGroup = ({ indices, partition, records }: Group) =>
    Effect.map(
      Effect.forEach(chunksOf(records, options, log.facts(events).publish_bytes), (chunk) =>
        Effect.map(log.publish(events, partition, chunk), (first) => chunk.map((_, i) => seqUnsafe(first + i))),
      ),
      (seqs) => ({ indices, seqs: seqs.flat() }),
    )

  const publishAll = (letters: ReadonlyArray<Letter>) =>
    Effect.map(
      Effect.forEach(groupsOf(letters, log.partitions), publishGroup, { concurrency: "unbounded" }),
      (published) => {
        const seqs: Array<Seq> = []
        for (const one of published) one.indices.forEach((index, i) => (seqs[index] = one.seqs[i]!))
        return letters.map(({ id }, index): Receipt => ({ id, seq: seqs[index]! }))
      },
    )

  // A span of its own would stand between the caller's and those of the messages.
  const sendAll = Effect.fnUntraced(function* (batch: ReadonlyArray<AddressedMessage>) {
    const chunk = recorder.chunk()
    const letters = yield* lettersOf(batch, options, eventBytes(log, topics))
    const sampled = letters.map(yield* sample(chunk))
    return yield* publishAll(sampled).pipe(Effect.onExit((exit) => chunk.end(exit)))
  })

  const cancelAll = (clientId: ClientId, ids: ReadonlyArray<EventId>) =>
    Effect.flatMap(cancelsOf(clientId, ids, options), publishAll)

  return Publisher.of({
    sendAll,
    cancelAll,
    send: (clientId, message) => Effect.map(sendAll([{ clientId, ...message }]), (receipts) => receipts[0]!),
  })
})

/** Samples what the budget has room for. */
const makeSampler = Effect.fnUntraced(function* ({ journeys_per_second }: Options) {
  const budget = new TokenBucket(journeys_per_second, yield* Elapsed.ms)
  return Effect.fnUntraced(function* ({ step }: JourneyRecorder.ChunkRecorder) {
    const from = yield* Trace.ofCaller
    budget.advance(yield* Elapsed.ms)
    const details = { rule: Journey.rules.accepted, followed: "within the budget" }
    return ({ id, record }: Letter): Letter => {
      if (!budget.take()) return { id, record }
      return { id, record: { ...record, headers: step("accepted", { clientId: record.key, from, details }) } }
    }
  })
})

/** A message, or a cancel, ready for the log. */
interface Letter {
  readonly id: EventId
  readonly record: LogRecord
}

const decode = Schema.decodeUnknownResult(AddressedMessage)

/** Checks and encodes the batch. Callers are typed, but what they pass on may not be what it says. */
const lettersOf = Effect.fnUntraced(function* (
  batch: ReadonlyArray<AddressedMessage>,
  limits: ChunkLimits,
  most_bytes: number,
) {
  if (batch.length > limits.chunk_records) {
    return yield* new BadBatch({ reason: `more than ${limits.chunk_records} messages` })
  }
  const letters: Array<Letter> = []
  let bytes = 0
  for (const [index, message] of batch.entries()) {
    const decoded = decode(message)
    if (Result.isFailure(decoded)) return yield* new BadBatch({ index, reason: decoded.failure.message })
    const { clientId, data, id = yield* freshId, name } = decoded.success
    const value = encode({ type: "message", id, name, data })
    const record: LogRecord = { key: clientId, value }
    const room = roomOf(record)
    if (room > most_bytes)
      return yield* new BadBatch({ index, reason: `it takes up ${room} bytes, and the topics take ${most_bytes}` })
    letters.push({ id, record })
    bytes += value.length
    if (bytes > limits.chunk_bytes)
      return yield* new BadBatch({ index, reason: `more than ${limits.chunk_bytes} bytes` })
  }
  return letters
})

const decodeCancel = Schema.decodeUnknownResult(Schema.Struct({ clientId: ClientId, id: EventId }))

/** The same of cancels. */
const cancelsOf = Effect.fnUntraced(function* (
  to: ClientId,
  ids: ReadonlyArray<EventId>,
  { chunk_records }: ChunkLimits,
) {
  if (ids.length > chunk_records) return yield* new BadBatch({ reason: `more than ${chunk_records} cancels` })
  const letters: Array<Letter> = []
  for (const [index, named] of ids.entries()) {
    const decoded = decodeCancel({ clientId: to, id: named })
    if (Result.isFailure(decoded)) return yield* new BadBatch({ index, reason: decoded.failure.message })
    const { clientId, id } = decoded.success
    letters.push({ id, record: { key: clientId, value: encodeTask({ task: id, do: "cancel", by: "client" }) } })
  }
  return letters
})

/** What goes to one partition, and where it stands in the batch. */
interface Group {
  readonly partition: number
  readonly indices: Array<number>
  readonly records: Array<LogRecord>
}

const groupsOf = (letters: ReadonlyArray<Letter>, partitions: number): Iterable<Group> => {
  const groups = new Map<number, Group>()
  letters.forEach(({ record }, index) => {
    const partition = partitionOf(record.key, partitions)
    const group = groups.get(partition) ?? { partition, indices: [], records: [] }
    group.indices.push(index)
    group.records.push(record)
    groups.set(partition, group)
  })
  return groups.values()
}

const freshId = Effect.map(RandomIds, (ids) => EventId.make(`m-${ids.uuid()}`))
