/**
 * From publishes to blocks: gives each record its offset, in the order of the publishes, and makes small publishes to
 * one partition one block.
 */
import type { ChunkLimits } from "../../Limits.ts"
import type { LogRecord, StoredRecord } from "../../protocol/Records.ts"
import { recordBytes } from "../../protocol/Records.ts"
import { compact } from "./Block.ts"
import type { Append } from "./LogStore.ts"
import type { Partition } from "./Partition.ts"

export interface Publish {
  readonly partition: Partition
  readonly records: ReadonlyArray<LogRecord>
  readonly timestamp: number
}

export interface Placement<P extends Publish> {
  /** In the order of their offsets, partition by partition. */
  readonly appends: ReadonlyArray<Append & { readonly to: Partition }>
  /** Each publish, with the offset of its first record. */
  readonly placed: ReadonlyArray<{ readonly publish: P; readonly from: number }>
}

/** Every block keeps within the limits; a record beyond them has one of its own. */
export const place = <P extends Publish>(publishes: ReadonlyArray<P>, limits: ChunkLimits): Placement<P> => {
  const appends: Array<Append & { readonly to: Partition }> = []
  const placed: Array<{ readonly publish: P; readonly from: number }> = []
  const building = new Map<Partition, Building>()
  for (const publish of publishes) {
    const { partition, timestamp } = publish
    let block = building.get(partition) ?? begin(partition.end)
    placed.push({ publish, from: block.next })
    for (const record of publish.records) {
      const bytes = recordBytes(record)
      if (isFull(block, bytes, limits)) {
        appends.push(toAppend(partition, block))
        block = begin(block.next)
      }
      add(block, record, bytes, timestamp)
    }
    building.set(partition, block)
  }
  for (const [partition, block] of building) appends.push(toAppend(partition, block))
  return { appends, placed }
}

interface Building {
  readonly from: number
  next: number
  bytes: number
  readonly records: Array<StoredRecord>
}

const begin = (from: number): Building => ({ from, next: from, bytes: 0, records: [] })

const isFull = (block: Building, bytes: number, limits: ChunkLimits): boolean =>
  block.records.length > 0 && (block.records.length >= limits.chunk_records || block.bytes + bytes > limits.chunk_bytes)

const add = (block: Building, { headers, key, value }: LogRecord, bytes: number, timestamp: number): void => {
  block.records.push({ key, value, headers, offset: block.next, timestamp })
  block.next++
  block.bytes += bytes
}

const toAppend = (to: Partition, { bytes, from, next, records }: Building) => ({
  topic: to.topic,
  partition: to.partition,
  to,
  block: { from, next, bytes, records: compact(records) },
})
