/** What could not be decoded, as it lies in the quarantine topic. */
import { Quarantined, type StoredRecord } from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { NotFound, type OperationInput, type QuarantinedRow, type QuarantinedView } from "@nimbus/domain/admin"
import { Effect } from "effect"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader } from "./LogReader.ts"

/** A place in the quarantine topic. */
export type Place = OperationInput<"quarantined">["params"]

export const makeQuarantineViews = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const { quarantine: topic } = yield* Topics
  const partitions = Array.from({ length: log.partitions }, (_, partition) => partition)
  const scan_records = Math.ceil(limits.quarantine_scan_records / log.partitions)

  /** The newest of a partition. */
  const ofPartition = Effect.fnUntraced(function* (partition: number, count: number) {
    const { from, upTo } = yield* reader.range(topic, partition)
    const first = Math.max(from, upTo - scan_records)
    let rows: Array<QuarantinedRow> = []
    for (let end = upTo; end > first && rows.length < count; end -= part_records) {
      const part: Array<QuarantinedRow> = []
      const range = { from: Math.max(first, end - part_records), upTo: end }
      const looked = yield* reader.read(topic, partition, range, (records) =>
        Effect.sync(() => part.push(...records.map((record) => rowOf(partition, record)))),
      )
      rows = [...part, ...rows].slice(-count)
      if (looked < end) break
    }
    return { rows, retained: upTo - from }
  })

  const list = Effect.fn("QuarantineViews.list")(function* (limit: number) {
    const found = yield* Effect.forEach(partitions, (partition) => ofPartition(partition, limit), {
      concurrency: limits.at_once,
    })
    const records = found
      .flatMap(({ rows }) => rows)
      .sort((a, b) => b.time - a.time || a.partition - b.partition || b.offset - a.offset)
      .slice(0, limit)
    return { records, more: found.reduce((sum, { retained }) => sum + retained, 0) > records.length }
  })

  const show = Effect.fn("QuarantineViews.show")(function* ({ offset, partition }: Place) {
    const record = partition < log.partitions ? yield* reader.at(topic, partition, offset) : undefined
    if (record === undefined) return yield* new NotFound({ message: "nothing is quarantined there" })
    const text = decoder.decode(record.value.subarray(0, limits.shown_bytes))
    return { ...rowOf(partition, record), text } satisfies QuarantinedView
  })

  return { list, show }
})

/** Records that one look into the past of a partition reads. */
const part_records = 1_000

const decoder = new TextDecoder()

/** One that somebody else wrote has no label: it is where it is, and nothing more is known. */
const rowOf = (partition: number, { headers, key, offset, timestamp, value }: StoredRecord): QuarantinedRow => ({
  partition,
  offset,
  key,
  ...(Quarantined.decode(headers) ?? { reason: "", time: timestamp }),
  bytes: value.length,
})
