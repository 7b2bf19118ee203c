/**
 * An `EventLog` of one's own: records are sealed before they reach the log below, and opened as they are read (AES-256-GCM,
 * NIST SP 800-38D). What can't be opened stands in its chunk as a record that says so, as the contract asks for.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { EventLog, type Records } from "@nimbus/domain"
import { Effect, Layer, Stream } from "effect"

const iv_bytes = 12
const tag_bytes = 16
/** At most so many records are in one publish that a caller cuts by `publish_bytes`: each becomes larger. */
const publish_records = 10_000

const seal = (key: Uint8Array, value: Uint8Array): Uint8Array => {
  const iv = randomBytes(iv_bytes)
  const cipher = createCipheriv("aes-256-gcm", key, iv)
  return Buffer.concat([iv, cipher.update(value), cipher.final(), cipher.getAuthTag()])
}

const open = (key: Uint8Array, sealed: Uint8Array): Uint8Array => {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, iv_bytes))
  decipher.setAuthTag(sealed.subarray(sealed.length - tag_bytes))
  return Buffer.concat([decipher.update(sealed.subarray(iv_bytes, sealed.length - tag_bytes)), decipher.final()])
}

const opened = (key: Uint8Array, record: Records.StoredRecord): Records.StoredRecord => {
  if (record.unreadable !== undefined) return record
  try {
    return { ...record, value: open(key, record.value) }
  } catch (error) {
    return { ...record, unreadable: `not sealed with this key: ${String(error)}` }
  }
}

const openedChunk = (key: Uint8Array, chunk: EventLog.Chunk): EventLog.Chunk => ({
  ...chunk,
  records: chunk.records.map((record) => opened(key, record)),
})

const openedPartition = (key: Uint8Array, assigned: EventLog.AssignedPartition): EventLog.AssignedPartition => ({
  ...assigned,
  read: (position) => Stream.map(assigned.read(position), (chunk) => openedChunk(key, chunk)),
})

/** On the log that is provided to it. */
export const layer = (key: Uint8Array): Layer.Layer<EventLog.EventLog, never, EventLog.EventLog> =>
  Layer.effect(
    EventLog.EventLog,
    Effect.map(EventLog.EventLog, (log) =>
      EventLog.EventLog.of({
        ...log,
        facts: (topic) => {
          const facts = log.facts(topic)
          return { ...facts, publish_bytes: facts.publish_bytes - publish_records * (iv_bytes + tag_bytes) }
        },
        publish: (topic, partition, records) =>
          log.publish(
            topic,
            partition,
            records.map((record) => ({ ...record, value: seal(key, record.value) })),
          ),
        subscribe: (topic, group) =>
          Stream.map(log.subscribe(topic, group), (assigned) => openedPartition(key, assigned)),
        tail: (topic, partition, position) =>
          Stream.map(log.tail(topic, partition, position), (chunk) => openedChunk(key, chunk)),
      }),
    ),
  )
