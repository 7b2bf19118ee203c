/**
 * The two requests of Kafka's protocol that carry records, with what each partition answered: Produce 7 and Fetch 11,
 * which every broker from 2.3 on knows. kafkajs has them too, but its codec is slow (see RecordBatch.ts), and where one
 * partition failed it throws away what the others answered.
 */
import { Buffer } from "node:buffer"
import type { LogRecord } from "@nimbus/domain/protocol"
import type { Aborted, Batches } from "./Batches.ts"
import { type BatchId, batchRoom, readInt64, writeBatch, writeInt64 } from "./RecordBatch.ts"

/** What kafkajs sends and how it reads the answer. */
export interface Request<A> {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  readonly body: () => Buffer
  readonly read: (answer: Buffer) => A
}

export interface PartitionBatch extends BatchId {
  readonly topic: string
  readonly partition: number
  readonly records: ReadonlyArray<LogRecord>
}

/** What became of a partition's batch. `code`: 0, or the protocol's number of an error. */
export interface Written {
  readonly topic: string
  readonly partition: number
  readonly code: number
  readonly baseOffset: number
}

/** Acknowledged by all replicas that are in sync. */
export const produce = (
  batches: ReadonlyArray<PartitionBatch>,
  timeout_ms: number,
  now_ms: number,
): Request<ReadonlyArray<Written>> => ({
  apiKey: 0,
  apiVersion: 7,
  apiName: "Produce",
  body: () => {
    const topics = Map.groupBy(batches, ({ topic }) => topic)
    let room = 64
    for (const topic of topics.keys()) room += 8 + Buffer.byteLength(topic)
    for (const { records } of batches) room += 8 + batchRoom(records)
    const body = Buffer.allocUnsafe(room)
    let at = body.writeInt16BE(-1, 0) // no transaction
    at = body.writeInt16BE(-1, at) // acks
    at = body.writeInt32BE(timeout_ms, at)
    at = body.writeInt32BE(topics.size, at)
    for (const [topic, batches] of topics) {
      at = writeString(body, at, topic)
      at = body.writeInt32BE(batches.length, at)
      for (const batch of batches) {
        at = body.writeInt32BE(batch.partition, at)
        const end = writeBatch(body, at + 4, batch.records, batch, now_ms)
        body.writeInt32BE(end - at - 4, at)
        at = end
      }
    }
    return body.subarray(0, at)
  },
  read: (answer) => {
    const input = new Answer(answer)
    return input.topics((topic) => {
      const partition = input.int32()
      const code = input.int16()
      const baseOffset = input.int64()
      input.at += 16 // append time, start offset
      return { topic, partition, code, baseOffset }
    })
  },
})

export interface PartitionPosition {
  readonly topic: string
  readonly partition: number
  readonly next: number
}

/** What a partition gave. `batches`: of records, maybe none; they are part of the answer's buffer. */
export interface Fetched extends Batches {
  readonly topic: string
  readonly partition: number
  readonly code: number
  /** After the last record that all replicas have. */
  readonly highWatermark: number
  /** Where the first transaction begins that is still open: nothing from there on is given. Without one, the same. */
  readonly lastStable: number
}

export interface FetchBounds {
  /** How long the broker may wait for the first record. */
  readonly wait_ms: number
  readonly fetch_bytes: number
  readonly partition_bytes: number
}

export const fetch = (
  positions: ReadonlyArray<PartitionPosition>,
  bounds: FetchBounds,
): Request<ReadonlyArray<Fetched>> => ({
  apiKey: 1,
  apiVersion: 11,
  apiName: "Fetch",
  body: () => {
    const topics = Map.groupBy(positions, ({ topic }) => topic)
    let room = 64 + 28 * positions.length
    for (const topic of topics.keys()) room += 8 + Buffer.byteLength(topic)
    const body = Buffer.allocUnsafe(room)
    let at = body.writeInt32BE(-1, 0) // no replica
    at = body.writeInt32BE(bounds.wait_ms, at)
    at = body.writeInt32BE(1, at)
    at = body.writeInt32BE(bounds.fetch_bytes, at)
    at = body.writeInt8(1, at) // what transactions of other producers have committed
    at = body.writeInt32BE(0, at) // no session
    at = body.writeInt32BE(-1, at)
    at = body.writeInt32BE(topics.size, at)
    for (const [topic, positions] of topics) {
      at = writeString(body, at, topic)
      at = body.writeInt32BE(positions.length, at)
      for (const { next, partition } of positions) {
        at = body.writeInt32BE(partition, at)
        at = body.writeInt32BE(-1, at) // leader epoch
        at = writeInt64(body, at, next)
        at = writeInt64(body, at, -1) // start offset, for replicas
        at = body.writeInt32BE(bounds.partition_bytes, at)
      }
    }
    at = body.writeInt32BE(0, at) // nothing forgotten of the session
    at = writeString(body, at, "") // rack
    return body.subarray(0, at)
  },
  read: (answer) => {
    const input = new Answer(answer)
    input.at = 10 // throttle time, error, session
    return input.topics((topic) => {
      const partition = input.int32()
      const code = input.int16()
      const highWatermark = input.int64()
      const lastStable = input.int64()
      input.at += 8 // start offset
      const aborted: Array<Aborted> = []
      for (let left = input.int32(); left > 0; left--) {
        aborted.push({ producerId: input.int64(), firstOffset: input.int64() })
      }
      input.at += 4 // preferred replica
      return { topic, partition, code, highWatermark, lastStable, aborted, batches: input.bytes() }
    })
  },
})

const writeString = (buffer: Buffer, at: number, text: string): number => {
  const bytes = buffer.write(text, at + 2)
  return buffer.writeInt16BE(bytes, at) + bytes
}

/** Reads along an answer. */
export class Answer {
  readonly #buffer: Buffer
  at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int16(): number {
    return this.#buffer.readInt16BE((this.at += 2) - 2)
  }

  int32(): number {
    return this.#buffer.readInt32BE((this.at += 4) - 4)
  }

  int64(): number {
    return readInt64(this.#buffer, (this.at += 8) - 8)
  }

  bytes(): Buffer {
    return this.take(Math.max(0, this.int32()))
  }

  /** Empty for null. */
  text(): string {
    return this.take(Math.max(0, this.int16())).toString()
  }

  array<A>(one: () => A): ReadonlyArray<A> {
    return Array.from({ length: Math.max(0, this.int32()) }, one)
  }

  take(bytes: number): Buffer {
    return this.#buffer.subarray(this.at, (this.at += bytes))
  }

  /** An array of topics, each with an array of partitions. */
  topics<A>(partition: (topic: string) => A): ReadonlyArray<A> {
    const all: Array<A> = []
    for (let topics = this.int32(); topics > 0; topics--) {
      const length = this.int16()
      const topic = this.#buffer.toString("utf8", this.at, (this.at += length))
      for (let partitions = this.int32(); partitions > 0; partitions--) all.push(partition(topic))
    }
    return all
  }
}
