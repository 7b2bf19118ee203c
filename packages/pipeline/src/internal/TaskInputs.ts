/**
 * What tasks have to do, and what they have published, from the tasks topic.
 *
 * ```
 *   read ─▶ kept, if there is room ─▶ taken when the task starts
 *      └──▶ not kept ─▶ it begins: read again meanwhile ─▶ taken
 * ```
 *
 * The readers of all partitions of a process share a bounded number of places.
 */
import { Effect, Fiber, Result as Res, type Schema, type Scope, type Semaphore, Stream } from "effect"
import { type Caller, readCaller } from "@nimbus/domain/access"
import { LogUnavailable, type LogError } from "@nimbus/domain/errors"
import { type Seq, type StoredRecord, type TaskQueue, TaskRecords } from "@nimbus/domain/protocol"
import { type Chunk, EventLog } from "@nimbus/domain/services"
import type { TaskWorkerLimits } from "../Limits.ts"
import { untilDone } from "./Backoff.ts"

/** What a task has to do, and for whom; `undefined`: the log has it no more. */
export type TaskInput = { readonly data: Schema.Json; readonly caller: Caller | undefined } | undefined

export interface TaskInputs {
  /** Of a task that was read. */
  keep(seq: Seq, input: TaskInput, bytes: number): void
  /** It begins. */
  prepare(task: TaskQueue.QueuedTask): void
  /** It starts. */
  take(task: TaskQueue.QueuedTask): Effect.Effect<TaskInput>
  /** It has ended. */
  drop(seq: Seq): void
  /** The first `count` parts, which stand in the topic between the task and `before`. */
  published(task: TaskQueue.QueuedTask, count: number, before: number): Stream.Stream<Schema.Json, LogError>
}

export interface TaskInputsOptions {
  readonly topic: string
  readonly partition: number
  readonly limits: TaskWorkerLimits
  readonly readers: Semaphore.Semaphore
}

interface Kept {
  readonly input: TaskInput
  readonly bytes: number
}

export const make = Effect.fnUntraced(function* ({
  limits,
  partition,
  readers,
  topic,
}: TaskInputsOptions): Effect.fn.Return<TaskInputs, never, EventLog | Scope.Scope> {
  const log = yield* EventLog
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context())
  const kept = new Map<Seq, Kept>()
  const loading = new Map<Seq, Fiber.Fiber<TaskInput>>()
  let kept_bytes = 0

  const tail = (from: number): Stream.Stream<Chunk, LogError> =>
    Stream.unwrap(
      Effect.as(
        Effect.acquireRelease(readers.take(1), () => readers.release(1), { interruptible: true }),
        log.tail(topic, partition, from),
      ),
    )
  const load = ({ offset }: TaskQueue.QueuedTask): Effect.Effect<TaskInput> =>
    tail(offset).pipe(
      Stream.filter((chunk) => chunk.next > offset),
      Stream.runHead,
      Effect.map((chunk) =>
        chunk._tag === "None" ? undefined : inputOf(chunk.value.records.find((record) => record.offset === offset)),
      ),
      (read) => untilDone(read, "read a task again", limits),
    )
  const drop = (seq: Seq): void => {
    kept_bytes -= kept.get(seq)?.bytes ?? 0
    kept.delete(seq)
    loading.get(seq)?.interruptUnsafe()
    loading.delete(seq)
  }
  const prepare = (task: TaskQueue.QueuedTask): void => {
    if (kept.has(task.seq) || loading.has(task.seq)) return
    const fiber = fork(load(task))
    loading.set(task.seq, fiber)
    Fiber.runIn(fiber, scope)
  }
  return {
    keep: (seq, input, bytes) => {
      if (kept.has(seq) || kept_bytes + bytes > limits.kept_bytes) return
      kept.set(seq, { input, bytes })
      kept_bytes += bytes
    },
    prepare,
    take: (task) =>
      Effect.suspend(() => {
        const known = kept.get(task.seq)
        if (known !== undefined) return Effect.succeed(known.input)
        prepare(task)
        const fiber = loading.get(task.seq)
        return fiber === undefined ? Effect.succeed(undefined) : Fiber.join(fiber)
      }),
    drop,
    published: (task, count, before) =>
      count === 0 ? Stream.empty : Stream.suspend(() => publishedIn(tail(task.offset), task, count, before)),
  }
})

/** Counts anew each time that it is read. */
const publishedIn = (
  chunks: Stream.Stream<Chunk, LogError>,
  task: TaskQueue.QueuedTask,
  count: number,
  before: number,
): Stream.Stream<Schema.Json, LogError> => {
  let next = 0
  const lacking = Stream.suspend(() => (next >= count ? Stream.empty : Stream.fail(lost(task))))
  return chunks.pipe(
    Stream.takeUntil((chunk) => chunk.next >= before),
    Stream.map((chunk) => {
      const parts = partsIn(chunk, task, next, count)
      next += parts.length
      return parts
    }),
    Stream.takeUntil(() => next >= count),
    Stream.flattenIterable,
    Stream.concat(lacking),
  )
}

const lost = ({ seq }: TaskQueue.QueuedTask): LogUnavailable =>
  new LogUnavailable({
    topic: "tasks",
    operation: "read what was published",
    cause: `the log does not have all parts of task ${seq} any more`,
  })

const inputOf = (record: StoredRecord | undefined): TaskInput => {
  if (record === undefined) return undefined
  const note = TaskRecords.decodeTaskNote(record.value)
  return Res.isSuccess(note) && note.success.is === "open"
    ? { data: note.success.data, caller: readCaller(record.headers) }
    : undefined
}

/** Of a task, from its `next` part on: a consumer that started over may have written some of them twice. */
const partsIn = (
  { records }: Chunk,
  { clientId, seq }: TaskQueue.QueuedTask,
  next: number,
  count: number,
): ReadonlyArray<Schema.Json> => {
  const parts: Array<Schema.Json> = []
  for (const { key, value } of records) {
    if (key !== clientId || !TaskRecords.isProgress(value)) continue
    const note = TaskRecords.decodeTaskNote(value)
    if (Res.isFailure(note) || note.success.is !== "progress" || note.success.task !== seq) continue
    if (note.success.part === next + parts.length && next + parts.length < count) parts.push(note.success.data)
  }
  return parts
}
