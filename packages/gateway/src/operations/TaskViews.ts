/**
 * The tasks that have not ended, as the log has them, and how an operator cancels one.
 *
 * ```
 *   commit of the task workers ─▶ tasks topic ─▶ end      what stands below the commit has ended
 *             └──────── read once, by what is kept ──────┘
 * ```
 *
 * What was read is kept while somebody asks, so that asking again reads only what is new; it is forgotten
 * `tasks_idle_ms` after the last question. One question reads no more than `tasks_scan_records` and `tasks_scan_bytes`,
 * and for `tasks_read_ms`: the next one reads on there.
 */
import {
  type ClientId,
  clientIdUnsafe,
  type EventId,
  OpenTasks,
  partitionOf,
  type StoredRecord,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { committedBy, EventLog, Topics } from "@nimbus/domain/services"
import {
  AdminUnavailable,
  type Cancelled,
  type OperationInput,
  type TaskRow,
  type TasksView,
} from "@nimbus/domain/admin"
import { Effect, Option, RcRef, Result, Semaphore } from "effect"
import type { AdminLimits } from "../Limits.ts"
import type { LogReader } from "./LogReader.ts"
import { ReadMeter } from "./ReadMeter.ts"

/** Which tasks: of this client, and of this name. */
export type TasksAsked = Omit<OperationInput<"tasks">["query"], "limit">

export const makeTaskViews = Effect.fnUntraced(function* (reader: LogReader, limits: AdminLimits) {
  const log = yield* EventLog
  const topics = yield* Topics
  const partitions = Array.from({ length: log.partitions }, (_, partition) => partition)
  const share = (bound: number) => Math.ceil(bound / log.partitions)

  const kept = yield* RcRef.make({
    acquire: Effect.map(Semaphore.make(1), (turn) => ({
      turn,
      partitions: partitions.map(() => new PartitionTasks(share(limits.tasks_kept))),
    })),
    idleTimeToLive: limits.tasks_idle_ms,
  })

  const committed = (partition: number) =>
    committedBy(log, "task-worker", topics, partition).pipe(
      Effect.map((found) => found?.next ?? 0),
      Effect.mapError(({ code, topic }) => new AdminUnavailable({ message: `${topic} can't be looked at: ${code}` })),
    )

  /** Reads what is new. Returns how many records it has left for the next time. */
  const readOn = Effect.fnUntraced(function* (tasks: PartitionTasks, partition: number) {
    const [range, commit] = yield* Effect.all([reader.range(topics.tasks, partition), committed(partition)], {
      concurrency: 2,
    })
    const from = tasks.begin(Math.max(range.from, commit))
    const upTo = Math.min(range.upTo, from + share(limits.tasks_scan_records))
    const next = yield* reader
      .read(topics.tasks, partition, { from, upTo }, (records) => Effect.sync(() => tasks.add(records)))
      .pipe(Effect.timeoutOption(limits.tasks_read_ms))
    if (Option.isSome(next)) tasks.next = Math.max(tasks.next, next.value)
    return Math.max(0, range.upTo - tasks.next)
  })

  /** What of the records one question may look through is for all partitions together. */
  const metered = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(ReadMeter.current, ({ left_bytes }) =>
      Effect.provideService(effect, ReadMeter.current, new ReadMeter(Math.min(left_bytes, limits.tasks_scan_bytes))),
    )

  const list = Effect.fn("TaskViews.list")(function* (asked: TasksAsked, limit: number) {
    const { partitions: all, turn } = yield* RcRef.get(kept)
    const wanted = asked.clientId === undefined ? partitions : [partitionOf(asked.clientId, log.partitions)]
    const unread = yield* Effect.forEach(wanted, (partition) => readOn(all[partition]!, partition), {
      concurrency: limits.at_once,
    }).pipe(metered, turn.withPermits(1))
    const found = wanted.flatMap((partition) => all[partition]!.matching(asked))
    return {
      ...viewOf(found, limit),
      more: found.length > limit || wanted.some((partition) => all[partition]!.hasMore),
      unread: unread.reduce((sum, records) => sum + records, 0),
    } satisfies TasksView
  }, Effect.scoped)

  const cancel = Effect.fn("TaskViews.cancel")(function* (clientId: ClientId, id: EventId) {
    const value = TaskRecords.encodeTask({ task: id, do: "cancel", by: "operator" })
    yield* log.publish(topics.events, partitionOf(clientId, log.partitions), [{ key: clientId, value }])
    return { clientId, id } satisfies Cancelled
  }, Effect.mapError(notTaken))

  return { list, cancel }
})

/** What was read of one partition. */
class PartitionTasks {
  /** The first record that was not read. */
  next = 0
  /** Where it began. */
  private from = 0
  private readonly limit: number
  private tasks: OpenTasks

  constructor(limit: number) {
    this.limit = limit
    this.tasks = new OpenTasks(limit)
  }

  get hasMore(): boolean {
    return this.tasks.hasMore
  }

  /**
   * Where to read on, when what stands below `done` has ended. It starts over there when there is room by then for some of
   * those that had none.
   */
  begin(done: number): number {
    this.tasks.commit(done)
    if (this.tasks.hasMore && 2 * this.tasks.size < this.limit && done > this.from) {
      this.tasks = new OpenTasks(this.limit)
      this.next = 0
    }
    if (this.next <= done) this.from = this.next = done
    return this.next
  }

  /** What is no note, the task workers put into quarantine. */
  add(records: ReadonlyArray<StoredRecord>): void {
    for (const { key, offset, timestamp: time, value } of records) {
      const note = TaskRecords.decodeTaskNote(value)
      if (Result.isSuccess(note)) this.tasks.add({ offset, clientId: clientIdUnsafe(key), time, note: note.success })
      this.next = offset + 1
    }
  }

  matching({ clientId, name }: TasksAsked): ReadonlyArray<TaskRow> {
    const isAskedFor = (row: TaskRow) =>
      (clientId === undefined || row.clientId === clientId) && (name === undefined || row.name === name)
    return [...this.tasks.rows()].filter(isAskedFor)
  }
}

const viewOf = (found: ReadonlyArray<TaskRow>, limit: number): Pick<TasksView, "tasks" | "running" | "waiting"> => {
  const running = found.filter(({ run }) => run !== undefined).sort((a, b) => sinceOf(a) - sinceOf(b))
  const waiting = found.filter(({ run }) => run === undefined).sort((a, b) => sinceOf(a) - sinceOf(b))
  return { tasks: [...running, ...waiting].slice(0, limit), running: running.length, waiting: waiting.length }
}

const sinceOf = ({ run, since }: TaskRow): number => run?.since ?? since

const notTaken = ({ code, topic }: { readonly code: string; readonly topic: string }) =>
  new AdminUnavailable({ message: `${topic} takes nothing now: ${code}` })
