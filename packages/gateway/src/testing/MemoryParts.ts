/**
 * What a gateway stands on, in memory, for tests of a transport on its own: there is no pipeline, and what a result
 * consumer or the replay consumer would do, a test does by hand.
 */
import {
  ClientId,
  encodeResult,
  EventId,
  type Failure,
  type Headers,
  Journey,
  partitionOf,
  Seq,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import {
  AckChannelMemory,
  ClientOffsetsMemory,
  EventLog,
  EventLogMemory,
  Mailbox,
  MailboxMemory,
  PodChannel,
  PodChannelMemory,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { Effect, Layer, type Schema, Stream } from "effect"
import { Delivery } from "../delivery/Delivery.ts"

const partitions = 3

/** With a log of other options than those of `layer`, which `put` and `logged` are for. */
export const layerWith = (log: EventLogMemory.EventLogMemoryOptions, topics = Topics.layerDefault) =>
  Layer.mergeAll(
    EventLogMemory.layerMemory(log),
    MailboxMemory.layerMemory(),
    RegistryMemory.layerMemory(),
    PodChannelMemory.layerMemory(),
    AckChannelMemory.layerMemory(),
    ClientOffsetsMemory.layerMemory(),
  ).pipe(Layer.provideMerge(topics))

export const layer = layerWith({ partitions })

export interface Waiting {
  readonly seq: number
  readonly value: Uint8Array
  readonly headers?: Headers
}

/** The result of an event `e<seq>`, named `sq`: data, or an error. */
export const result = (
  seq: number,
  outcome: { readonly data: Schema.Json } | { readonly error: Failure },
): Waiting => ({
  seq,
  value: encodeResult({ seq: Seq.make(seq), id: EventId.make(`e${seq}`), name: "sq", ...outcome }),
})

/** Puts records into a client's mailbox, as the replay consumer does, and says so. */
export const put = Effect.fnUntraced(function* (id: string, records: ReadonlyArray<Waiting>) {
  const clientId = ClientId.make(id)
  const mailbox = yield* Mailbox
  const partition = partitionOf(clientId, partitions)
  const expected = yield* mailbox.offset(partition)
  const all = records.map(({ seq, ...record }) => ({ clientId, seq: Seq.make(seq), timestamp: 0, ...record }))
  yield* mailbox.put(partition, { expected, next: (expected ?? 0) + records.length, records: all })
  const { pod } = yield* Delivery
  yield* (yield* PodChannel).publish(pod, [{ _tag: "Mail", clientId }])
})

const first = Effect.fnUntraced(function* (id: string, count: number, isMeant: (record: StoredRecord) => boolean) {
  const { events } = yield* Topics
  return yield* (yield* EventLog).tail(events, partitionOf(id, partitions), "earliest").pipe(
    Stream.flatMap(({ records }) => Stream.fromIterable(records)),
    Stream.filter((record) => record.key === id && isMeant(record)),
    Stream.take(count),
    Stream.runCollect,
  )
})

/** The first records of a client in the events topic, barriers included. */
export const logged = (id: string, count: number) => first(id, count, () => true)

/** The first `count` of its events: no barriers. */
export const events = (id: string, count: number) =>
  first(id, count, ({ value }) => Buffer.from(value).includes('"type":"event"'))

/** The first `count` of its records whose journey is sampled: no barriers. */
export const sampled = (id: string, count: number) => first(id, count, ({ headers }) => Journey.isSampled(headers))

/** Up to where a client has acknowledged. */
export const acked = (id: string) =>
  Effect.flatMap(Mailbox, ({ stats }) => Effect.map(stats(ClientId.make(id)), ({ acked }) => acked))
