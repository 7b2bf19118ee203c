/** Records as kafkajs takes and gives them. Bytes are not copied: a record that is kept keeps the response it came in. */
import { type Chunk, type ChunkLimits, type Headers, type LogRecord, type StoredRecord } from "@nimbus/domain"
import type { Message } from "kafkajs"
import type { FetchedMessage } from "./KafkaJs.ts"

/** What a record counts for, against limits in bytes. */
export const sizeOf = ({ headers, key, value }: LogRecord): number => {
  let bytes = key.length + value.length
  if (headers !== undefined) for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0)
  return bytes
}

export const toMessage = ({ headers, key, value }: LogRecord): Message => {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return headers === undefined ? { key, value: bytes } : { key, value: bytes, headers: { ...headers } }
}

/**
 * The chunks from offset `next` on. Kafka gives whole batches, so the first may begin before; what a transaction left
 * behind takes up an offset and is no record.
 */
export const toChunks = (
  partition: number,
  messages: ReadonlyArray<FetchedMessage>,
  next: number,
  limits: ChunkLimits,
): ReadonlyArray<Chunk> => {
  const chunks: Array<Chunk> = []
  let from = next
  let records: Array<StoredRecord> = []
  let bytes = 0
  for (const message of messages) {
    const offset = Number(message.offset)
    if (offset < next) continue
    next = offset + 1
    if (message.isControlRecord === true) continue
    const record = toRecord(message, offset)
    const size = sizeOf(record)
    if (records.length > 0 && (records.length >= limits.chunk_records || bytes + size > limits.chunk_bytes)) {
      chunks.push({ partition, from, next: offset, records })
      from = offset
      records = []
      bytes = 0
    }
    records.push(record)
    bytes += size
  }
  if (next > from) chunks.push({ partition, from, next, records })
  return chunks
}

const toRecord = ({ headers, key, timestamp, value }: FetchedMessage, offset: number): StoredRecord => ({
  key: key === null ? "" : key.toString(),
  value: value ?? none,
  headers: headers === undefined ? undefined : toHeaders(headers),
  offset,
  timestamp: Number(timestamp),
})

const none = Buffer.alloc(0)

/** The last value of a name that is there more than once, which ours never are. */
const toHeaders = (headers: NonNullable<FetchedMessage["headers"]>): Headers | undefined => {
  let found: Record<string, string> | undefined
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined) continue
    found ??= {}
    found[name] = (Array.isArray(value) ? value.at(-1) : value)?.toString() ?? ""
  }
  return found
}
