/** Who did what, as it lies in the topic of the audit: the newest of all its partitions. */
import type { StoredAuditEntry } from "@nimbus/domain/access"
import { type AuditView, NotPossible, type OperationInput } from "@nimbus/domain/admin"
import { AuditLog, EventLog, Topics } from "@nimbus/domain/services"
import { Effect } from "effect"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader } from "./LogReader.ts"

type Query = OperationInput<"audit">["query"]

export const makeAuditViews = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const { audit: topic } = yield* Topics

  /** The newest of a partition that are asked for, and whether all of it was looked at. */
  const ofPartition = Effect.fnUntraced(function* (topic: string, partition: number, count: number, query: Query) {
    const { from, upTo } = yield* reader.range(topic, partition)
    const first = Math.max(from, upTo - Math.ceil(limits.audit_scan_records / log.facts(topic).partitions))
    let entries: Array<StoredAuditEntry> = []
    let end = upTo
    while (end > first && entries.length <= count) {
      const part: Array<StoredAuditEntry> = []
      const range = { from: Math.max(first, end - part_records), upTo: end }
      const looked = yield* reader.read(topic, partition, range, (records) =>
        Effect.sync(() => {
          for (const record of records) {
            const entry = AuditLog.entryOf(record)
            if (entry !== undefined && isAsked(entry, query)) part.push(entry)
          }
        }),
      )
      entries = [...part, ...entries].slice(-count - 1)
      if (looked < end) break
      end = range.from
    }
    return { entries, isWhole: end <= from }
  })

  return Effect.fn("AuditViews.list")(function* ({
    limit = limits.rows,
    ...query
  }: Query & { limit?: number | undefined }) {
    if (topic === undefined) return yield* new NotPossible({ message: "there are no locks here: see docs/security.md" })
    const partitions = Array.from({ length: log.facts(topic).partitions }, (_, partition) => partition)
    const found = yield* Effect.forEach(partitions, (partition) => ofPartition(topic, partition, limit, query), {
      concurrency: limits.at_once,
    })
    const entries = found.flatMap(({ entries }) => entries).sort((one, other) => other.time - one.time)
    return {
      entries: entries.slice(0, limit),
      more: entries.length > limit || found.some(({ isWhole }) => !isWhole),
    } satisfies AuditView
  })
})

const isAsked = (entry: StoredAuditEntry, { action, address, clientId, outcome, subject }: Query): boolean =>
  (action === undefined || entry.action === action) &&
  (outcome === undefined || entry.outcome === outcome) &&
  (subject === undefined || entry.subject === subject) &&
  (clientId === undefined || entry.clientId === clientId) &&
  (address === undefined || entry.address === address)

/** Records that one look into the past of a partition reads. */
const part_records = 1_000
