/**
 * The audit in the log: `AuditBook` joins and bounds, and a fiber writes what waits to the topic of the audit and, in one
 * line each, to the log of the process.
 *
 * An entry never delays what it is about. While the log can't be written to, entries wait. An entry that was written and
 * not acknowledged is written again, so it may stand in the topic twice.
 */
import { Clock, Effect, Latch, Layer, Metric, Result, Schema } from "effect"
import { AuditBook, StoredAuditEntry } from "../access/AuditBook.ts"
import { type AuditLimits, auditLimits, chunkLimits } from "../Limits.ts"
import { registerSize } from "../observability/MemoryGauges.ts"
import { backoff_ms } from "../pacing/Backoff.ts"
import { TokenBucket } from "../pacing/TokenBucket.ts"
import { chunksOf } from "../protocol/ChunksOf.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { LogRecord, StoredRecord } from "../protocol/Records.ts"
import { Audit } from "./Audit.ts"
import { EventLog } from "./EventLog.ts"
import { failureReporter } from "./FailureLog.ts"
import { Topics } from "./Topics.ts"

/** With other bounds than the default ones. */
export const layerWith = (limits: Partial<AuditLimits> = {}): Layer.Layer<Audit, never, EventLog | Topics> =>
  Layer.effect(
    Audit,
    Effect.suspend(() => make({ ...auditLimits, ...limits })),
  )

/** The audit of the installation whose log this is. */
export const layer = layerWith()

const written = Metric.counter("nimbus_audit_entries_total", {
  description: "Entries that were written to the audit topic, by action",
  incremental: true,
})
const lost = Metric.counter("nimbus_audit_dropped_total", {
  description: "Entries of the audit that were dropped because too many waited",
  incremental: true,
})

const make = Effect.fnUntraced(function* (limits: AuditLimits) {
  const log = yield* EventLog
  const topic = (yield* Topics).audit ?? Topics.locked.audit
  const clock = yield* Clock.Clock
  const book = new AuditBook(limits)
  const some = Latch.makeUnsafe()
  const outage = yield* failureReporter("write the audit")
  const tell = makeTelling(limits, clock.currentTimeMillisUnsafe())
  yield* registerSize("audit", book)

  const publish = ([partition, entries]: readonly [number, ReadonlyArray<StoredAuditEntry>]) =>
    Effect.forEach(
      chunksOf(entries.map(recordOf), chunkLimits, log.facts(topic).publish_bytes),
      (chunk) => log.publish(topic, partition, chunk),
      { discard: true },
    ).pipe(
      Effect.andThen(outage.worked),
      Effect.andThen(Effect.forEach(entries, count, { discard: true })),
      Effect.as(true),
      Effect.catch((error) =>
        Effect.as(
          Effect.andThen(
            outage.failed(error),
            Effect.sync(() => book.putBack(entries)),
          ),
          false,
        ),
      ),
    )
  const state = { failures: 0 }
  const write = Effect.gen(function* () {
    some.closeUnsafe()
    const { dropped, entries } = book.drain()
    yield* tell(entries, dropped, yield* Clock.currentTimeMillis)
    if (dropped > 0) yield* Metric.update(lost, dropped)
    const left = byPartition(entries, log.facts(topic).partitions)
    const done = yield* Effect.forEach([...left], (group) =>
      Effect.tap(publish(group), () => Effect.sync(() => left.delete(group[0]))),
    ).pipe(
      // The layer ends, which then writes what waits.
      Effect.onInterrupt(() => Effect.sync(() => book.putBack([...left.values()].flat()))),
    )
    state.failures = done.every((isDone) => isDone) ? 0 : state.failures + 1
    if (state.failures > 0) some.openUnsafe()
  })
  const turn = Effect.gen(function* () {
    yield* some.await
    yield* Effect.sleep(
      state.failures === 0
        ? limits.audit_collect_ms
        : backoff_ms(state.failures, limits.audit_collect_ms, retry_max_ms),
    )
    yield* write
  })
  const close = Effect.gen(function* () {
    yield* Effect.sleep(limits.audit_join_ms / 4)
    book.close(yield* Clock.currentTimeMillis)
    if (book.size.waiting > 0) some.openUnsafe()
  })
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      book.close(Infinity)
      return Effect.timeoutOption(Effect.interruptible(write), limits.audit_close_timeout_ms)
    }),
  )
  yield* Effect.forkScoped(Effect.forever(turn))
  yield* Effect.forkScoped(Effect.forever(close))
  return Audit.of({
    record: (entry) => {
      book.take(entry, clock.currentTimeMillisUnsafe())
      if (book.size.waiting > 0) some.openUnsafe()
    },
  })
})

const count = ({ action }: StoredAuditEntry) => Metric.update(Metric.withAttributes(written, { action }), 1)

/** A line for each, as far as the log of the process has room for them. Those that wait again were told before. */
const makeTelling = (limits: AuditLimits, now_ms: number) => {
  const lines = new TokenBucket(limits.audit_lines_per_second, now_ms)
  const told = new WeakSet<StoredAuditEntry>()
  return Effect.fnUntraced(function* (entries: ReadonlyArray<StoredAuditEntry>, dropped: number, now_ms: number) {
    let left = 0
    for (const entry of entries) {
      if (told.has(entry)) continue
      told.add(entry)
      if (!lines.take(now_ms)) left++
      else yield* Effect.annotateLogs(Effect.logInfo(`audit: ${entry.action} ${entry.outcome}`), fieldsOf(entry))
    }
    if (left > 0) yield* Effect.logInfo(`audit: and ${left} more entries, which the topic of the audit has`)
    if (dropped > 0)
      yield* Effect.logWarning(`audit: ${dropped} entries were dropped: they waited too long to be written`)
  })
}

const fieldsOf = ({ action: _action, outcome: _outcome, repeats, time: _time, ...fields }: StoredAuditEntry) => ({
  ...fields,
  ...(repeats === undefined ? {} : { repeats: repeats.count }),
})

/** What somebody did stands in one partition, in order. */
const keyOf = ({ address, issuer, subject }: StoredAuditEntry): string =>
  subject === undefined ? (address ?? "") : JSON.stringify([issuer, subject])

const byPartition = (entries: ReadonlyArray<StoredAuditEntry>, partitions: number) => {
  const groups = new Map<number, Array<StoredAuditEntry>>()
  for (const entry of entries) {
    const partition = partitionOf(keyOf(entry), partitions)
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [entry])
    else group.push(entry)
  }
  return groups
}

const json = Schema.fromJsonString(StoredAuditEntry)
const encode = Schema.encodeSync(json)
const decode = Schema.decodeUnknownResult(json)

const recordOf = (entry: StoredAuditEntry): LogRecord => ({
  key: keyOf(entry),
  value: new TextEncoder().encode(encode(entry)),
})

/** `undefined`: somebody else has written it, or a later version. */
export const entryOf = ({ unreadable, value }: StoredRecord): StoredAuditEntry | undefined => {
  if (unreadable !== undefined) return undefined
  const entry = decode(new TextDecoder().decode(value))
  return Result.isSuccess(entry) ? entry.success : undefined
}

const retry_max_ms = 5_000
