/**
 * The storage writer: it moves results and chat messages from their topics into the archive, for later queries.
 *
 * ```
 *   results topic ─ chunk ─▶ sort ─ records ─▶ Archive: rows and position, in every store ─▶ commit, for lag
 *   chats topic   ─ chunk ─▶   └─ what can't be read, or a store can't hold ─▶ quarantine
 *   and that of the open chat, where there is one
 * ```
 *
 * 1. It reads from the position of the archive, never from the commit of the group, which only shows lag. A store that
 *    is new, or was restored from a backup, therefore gets what it lacks, as far as the log still has it.
 * 2. Each result is archived once. Of several results of one client with the same seq the first in the log counts, as
 *    in the mailboxes; a repeat of an id has no result, and is no row. Within a chunk this writer drops the others. A row that is in the archive already stays as it
 *    is.
 * 3. A write is retried until the archive has it. Meanwhile one chunk waits and nothing more is read; the log keeps the
 *    rest.
 * 4. When it is stopped, it stops immediately, which for the archive is equivalent to a crash. A slow store therefore
 *    does not delay a shutdown, and what it did not take is written after the next start.
 */
import { Effect, type Latch, Layer, Metric, Result } from "effect"
import { ArchiveMismatch, type ArchiveUnavailable, type LogError, type LogUnavailable } from "@nimbus/domain/errors"
import { chunkLimits } from "@nimbus/domain/limits"
import {
  decodeResult,
  type Incarnation,
  isBarrier,
  isClientId,
  isTombstone,
  openLife,
  peekSeq,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import {
  Archive,
  type ArchiveKind,
  type ArchiveRecord,
  type ArchiveSource,
  type AssignedPartition,
  type Chunk,
  EventLog,
  type PartitionAmong,
  type Role,
  toArchived,
  Topics,
  untilItPasses,
} from "@nimbus/domain/services"
import { type StorageWriterLimits, storageWriterLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine, type Refused } from "./Quarantine.ts"
import { reportFailure, untilDone, wait_ms } from "./internal/Backoff.ts"
import * as PipelinedWriter from "./internal/PipelinedWriter.ts"
import * as Committer from "./internal/Committer.ts"
import * as Workers from "./internal/Workers.ts"

/** Writes all of these topics. Refuses an archive that has more than this log. */
export const layer = Layer.suspend(() => all(storageWriterLimits))

/** The same with other bounds than the defaults. */
export const layerWith = (limits: Partial<StorageWriterLimits>) =>
  Layer.suspend(() => all({ ...storageWriterLimits, ...limits }))

interface Kind {
  readonly kind: ArchiveKind
  readonly role: Role
  /** `undefined`: this installation has no such topic. */
  readonly topicOf: (topics: Topics["Service"]) => string | undefined
  /** As the archive has it. */
  readonly lifeOf: (incarnation: Incarnation) => Incarnation
  readonly makeSort: (at: PartitionAmong) => Sort
}

const results: Kind = {
  kind: "results",
  role: "results-writer",
  topicOf: ({ results }) => results,
  lifeOf: (incarnation) => incarnation,
  makeSort: () => sortResults,
}

const messages: Kind = {
  kind: "messages",
  role: "chats-writer",
  topicOf: ({ chats }) => chats,
  lifeOf: (incarnation) => incarnation,
  makeSort: (at) => makeSortMessages(at),
}

const openMessages: Kind = {
  kind: "messages",
  role: "messages-writer",
  topicOf: ({ messages }) => messages,
  lifeOf: openLife,
  makeSort: (at) => makeSortMessages(at),
}

/** Each on its own: they stop at once, and not one after the other. */
const all = (limits: StorageWriterLimits) =>
  Layer.mergeAll(
    Layer.effectDiscard(run(results, limits)),
    Layer.effectDiscard(run(messages, limits)),
    Layer.effectDiscard(run(openMessages, limits)),
  )

const run = Effect.fnUntraced(function* ({ kind, lifeOf, makeSort, role, topicOf }: Kind, limits: StorageWriterLimits) {
  const topic = topicOf(yield* Topics)
  if (topic === undefined) return
  const log = yield* EventLog
  const life = lifeOf(log.facts(topic).incarnation)
  // What is out of place keeps to this, however many the topic gets: a room's rows are of one partition.
  const { partitions } = log
  const source = (partition: number): ArchiveSource => ({ incarnation: life, kind, partition })
  if (!limits.lazy) yield* refuseMismatch(source, topic, limits)
  yield* Workers.run({
    role,
    topic,
    limits,
    worker: (assigned, stopping) => {
      const { partition } = assigned
      const work = { source: source(partition), role, sort: makeSort({ partition, partitions }) }
      return Effect.raceFirst(write(work, assigned, stopping, limits), stopping.await)
    },
  })
})

/**
 * What is new at offsets that the archive has already would be taken for a repeat. A log or an archive that does not
 * answer is no such thing: it is asked again until it does.
 */
const refuseMismatch = Effect.fnUntraced(function* (
  source: (partition: number) => ArchiveSource,
  topic: string,
  limits: StorageWriterLimits,
) {
  const log = yield* EventLog
  for (let partition = 0; partition < log.facts(topic).partitions; partition++) {
    yield* untilItPasses("compare the archive", refuseBeyondEnd(source(partition), topic), isPassing, (failures) =>
      wait_ms(failures, limits),
    )
  }
})

const isPassing = (
  error: LogError | ArchiveUnavailable | ArchiveMismatch,
): error is LogUnavailable | ArchiveUnavailable =>
  error._tag === "LogUnavailable" || error._tag === "ArchiveUnavailable"

const refuseBeyondEnd = Effect.fnUntraced(function* (source: ArchiveSource, topic: string) {
  const { partition } = source
  const stored = yield* (yield* Archive).position(source)
  const end = yield* (yield* EventLog).end(topic, partition)
  if (stored !== undefined && stored > end) return yield* new ArchiveMismatch({ topic, partition, stored, end })
  return stored
})

interface Work {
  readonly source: ArchiveSource
  readonly role: Role
  readonly sort: Sort
}

/** One partition, from the archive's position on: a chunk is sorted while the one before is written. */
const write = Effect.fnUntraced(function* (
  { role, sort, source }: Work,
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  limits: StorageWriterLimits,
) {
  const { partition, topic } = assigned
  const archive = yield* Archive
  const committer = yield* Committer.make(assigned, limits)
  const writing = yield* PipelinedWriter.make
  if (limits.lazy && !(yield* hasSomethingNew(assigned, stopping))) return
  const position = yield* refuseBeyondEnd(source, topic)
  const progress = { read: position ?? 0, written: position ?? 0 }
  yield* Effect.forkScoped(tellLag(assigned, progress, limits))

  const store = Effect.fnUntraced(function* (chunk: Chunk, { records, refused, stored }: Sorted) {
    const batch = { source, records, position: chunk.next }
    const refusals = yield* untilDone(archive.write(batch), "archive", limits)
    const unstorable = refusals.map(({ index, reason }) => ({ record: stored[index]!, reason }))
    yield* quarantine({ topic, partition }, [...refused, ...unstorable], { ...limits, chunk: chunkLimits })
    progress.written = chunk.next
    committer.offer(chunk.next)
    yield* Metrics.countOut("archive", records.length - refusals.length)
  })
  const onChunk = Effect.fnUntraced(function* (chunk: Chunk) {
    if (chunk.from > progress.read) yield* tellHole(assigned, progress.read, chunk.from)
    progress.read = chunk.next
    yield* writing.run(store(chunk, sort(chunk)))
    yield* Metrics.countIn(role, chunk.records.length)
    if (chunk.records.length < limits.gather_records) yield* Effect.sleep(limits.gather_ms)
    return true
  })

  yield* Workers.forEachChunk(assigned.read(position ?? "earliest"), stopping, onChunk)
  yield* writing.settled
})

/** Waits for a record that the group has not committed. `false`: there was none when it was told to stop. */
const hasSomethingNew = Effect.fnUntraced(function* (assigned: AssignedPartition, stopping: Latch.Latch) {
  let found = false
  yield* Workers.forEachChunk(assigned.read("committed"), stopping, () => Effect.sync(() => !(found = true)))
  return found
})

/** What a chunk holds: records to write and where they came from, one for one, and records that can't be read. */
interface Sorted {
  readonly records: ReadonlyArray<ArchiveRecord>
  readonly stored: ReadonlyArray<StoredRecord>
  readonly refused: ReadonlyArray<Refused>
}

type Sort = (chunk: Chunk) => Sorted

const text = new TextDecoder()

/** Invariant 2. */
const sortResults: Sort = (chunk) => {
  const sorted = { records: Array<ArchiveRecord>(), stored: Array<StoredRecord>(), refused: Array<Refused>() }
  const taken = new Set<string>()
  for (const record of chunk.records) {
    const seq = peekSeq(record.value)
    if (seq === undefined) {
      sorted.refused.push({ record, reason: record.unreadable ?? "no seq at the start of the record" })
      continue
    }
    const place = `${seq} ${record.key}`
    if (isBarrier(record.value) || taken.has(place)) continue
    taken.add(place)
    const wrong = check(record, seq)
    if (wrong === repeat) continue
    if (wrong !== undefined) sorted.refused.push({ record, reason: wrong })
    else keep(sorted, record, { key: record.key, place: seq, value: text.decode(record.value) })
  }
  return sorted
}

/** Of the first one there is a result; a repeat has none. */
const repeat = Symbol("a repeat")

const check = (record: StoredRecord, seq: number): string | typeof repeat | undefined => {
  if (!isClientId(record.key)) return "its key is no client id"
  const result = decodeResult(record.value)
  if (Result.isFailure(result)) return result.failure.reason
  if (result.success.seq !== seq) return "it has two seqs"
  return result.success.repeated === undefined ? undefined : repeat
}

/** What has nothing in it is nothing to keep. */
const makeSortMessages =
  (at: PartitionAmong): Sort =>
  (chunk) => {
    const sorted = { records: Array<ArchiveRecord>(), stored: Array<StoredRecord>(), refused: Array<Refused>() }
    for (const record of chunk.records) {
      if (record.unreadable !== undefined) {
        sorted.refused.push({ record, reason: record.unreadable })
        continue
      }
      if (isTombstone(record)) continue
      const archived = toArchived(record, at)
      if (Result.isFailure(archived)) sorted.refused.push({ record, reason: archived.failure.reason })
      else keep(sorted, record, { ...archived.success, place: record.offset })
    }
    return sorted
  }

const keep = (
  sorted: { readonly records: Array<ArchiveRecord>; readonly stored: Array<StoredRecord> },
  record: StoredRecord,
  row: Omit<ArchiveRecord, "timestamp">,
): void => {
  sorted.records.push({ ...row, timestamp: record.timestamp })
  sorted.stored.push(record)
}

const tellHole = ({ partition, topic }: AssignedPartition, expected: number, earliest: number) =>
  Effect.andThen(
    Metric.update(Metrics.archiveHoles, 1),
    Effect.logError("the log has lost records before they were archived", { topic, partition, expected, earliest }),
  )

/** How far the archive is behind the log, periodically. */
const tellLag = (
  { partition, topic }: AssignedPartition,
  progress: { readonly written: number },
  limits: StorageWriterLimits,
) =>
  Effect.gen(function* () {
    const end = yield* (yield* EventLog).end(topic, partition)
    yield* Metrics.setArchiveLag(topic, partition, Math.max(0, end - progress.written))
  }).pipe(
    Effect.catch((error) => reportFailure("measure archive lag", error)),
    Effect.andThen(Effect.sleep(limits.lag_every_ms)),
    Effect.forever,
  )
