/** Batches as brokers have them, for tests. */
import { crc32c } from "@node-rs/crc32"
import { chunkLimits } from "@nimbus/domain/limits"
import type { LogRecord } from "@nimbus/domain/protocol"
import { kafkaLimits } from "../../Limits.ts"
import { type Aborted, type BatchLimits, readChunks } from "../Batches.ts"
import { batchRoom, writeBatch, writeInt64 } from "../RecordBatch.ts"

export const now_ms = 1_790_000_000_123

export const producerId = 2 ** 40 + 7

/** At an offset, with this codec's number and the records as it compresses them. */
export interface BatchOptions {
  readonly at?: number
  readonly attributes?: number
  readonly compress?: (records: Buffer) => Buffer
}

export const batchOf = (
  records: ReadonlyArray<LogRecord>,
  { at = 0, attributes = 0, compress = (records) => records }: BatchOptions = {},
): Buffer => {
  const buffer = Buffer.alloc(batchRoom(records))
  const end = writeBatch(buffer, 0, records, { producerId, producerEpoch: 3, sequence: 41 }, now_ms)
  const batch = Buffer.concat([buffer.subarray(0, 61), compress(buffer.subarray(61, end))])
  writeInt64(batch, 0, at)
  batch.writeInt16BE(attributes, 21)
  return sealed(batch)
}

/** With the length and the checksum of its bytes, whatever they are. */
export const sealed = (batch: Buffer): Buffer => {
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

export const text = (value: string, key = "k"): LogRecord => ({ key, value: Buffer.from(value) })

export interface ReadOptions extends Partial<BatchLimits> {
  readonly aborted?: ReadonlyArray<Aborted>
  readonly doubted?: number
}

export const read = (batches: Buffer, next: number, { aborted = [], doubted, ...limits }: ReadOptions = {}) =>
  readChunks(5, { batches, aborted }, next, { ...kafkaLimits, ...chunkLimits, ...limits }, doubted)

/** What was read, in short: the values, or why there are none, and how far it got. */
export const summaryOf = ({ chunks, doubted }: ReturnType<typeof read>) => ({
  values: chunks.flatMap(({ records }) => records.map(({ unreadable, value }) => unreadable ?? String(value))),
  next: chunks.at(-1)?.next,
  doubted,
})
