/**
 * An event consumer of tasks for tests of the task worker: the ledger over the topics of a test's ground, with what the
 * client of a task sees of it.
 */
import { Effect, Stream } from "effect"
import { Result as Res } from "effect"
import {
  clientIdUnsafe,
  decodeResult,
  type Event,
  EventId,
  type LogRecord,
  type RunId,
  type Seq,
  seqUnsafe,
  type StoredRecord,
  TaskLedger,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { append, event, text } from "./TestEnvironment.ts"

/** What a client sees: a part, or an end with its outcome. */
export interface Seen {
  readonly of: string
  readonly attempt: number
  readonly part: number
  /** The part's data, or the end's code, if it has failed. */
  readonly says: unknown
  readonly end: string | undefined
}

export interface TaskConsumer {
  readonly items: Array<Seen>
  /** The begins, parts and ends that came, by run. */
  readonly runs: Array<{ readonly do: string; readonly run: RunId }>
  /** What counts for nothing, and why. */
  readonly ignored: Array<string>
}

/** Consumes the events topic until the test ends; `resumes`: the names of tasks that do. */
export const consumeTasks = Effect.fnUntraced(function* (resumes: ReadonlyArray<string> = []) {
  const log = yield* EventLog
  const { events, tasks } = yield* Topics
  const ledger = new TaskLedger.State({ task_attempts: 5 })
  const consumer: TaskConsumer = { items: [], runs: [], ignored: [] }
  const take = (record: StoredRecord): ReadonlyArray<LogRecord> => {
    const input = inputOf(record, resumes)
    if ("run" in input) consumer.runs.push({ do: input._tag, run: input.run })
    return TaskLedger.step(ledger, input).flatMap((output) => notesOf(output, record, consumer))
  }
  yield* log.tail(events, 0, 0).pipe(
    Stream.runForEach((chunk) => {
      const notes = chunk.records.flatMap(take)
      return notes.length === 0 ? Effect.void : log.publish(tasks, 0, notes)
    }),
    Effect.forkScoped,
  )
  return consumer
})

/** The event of a task. Returns its seq. */
export const ask = Effect.fnUntraced(function* (clientId: string, id: string, name: string, data: Event["data"]) {
  return seqUnsafe(yield* append((yield* Topics).events, event(clientId, id, name, data)))
})

/** Its client cancels it. */
export const cancel = Effect.fnUntraced(function* (clientId: string, id: string) {
  const value = TaskRecords.encodeTask({ task: EventId.make(id), do: "cancel", by: "client" })
  yield* append((yield* Topics).events, { key: clientId, value })
})

const inputOf = ({ key, offset, timestamp, value }: StoredRecord, resumes: ReadonlyArray<string>): TaskLedger.Input => {
  const of = { offset: seqUnsafe(offset), clientId: clientIdUnsafe(key) }
  if (!TaskRecords.isTaskRecord(value)) {
    const { id, name } = JSON.parse(text(value))
    return { ...of, _tag: "Event", id, name, resumes: resumes.includes(name), timestamp_ms: timestamp }
  }
  const write = Res.getOrThrow(TaskRecords.decodeTaskWrite(value))
  switch (write.do) {
    case "begin":
      return { ...of, _tag: "Begin", task: write.task, run: write.run }
    case "part":
      return { ...of, _tag: "Part", task: write.task, run: write.run, part: write.part }
    case "end":
      return { ...of, _tag: "End", task: write.task, run: write.run, part: write.part, error: write.error }
    case "stop":
      return { ...of, _tag: "Stop", task: write.task, by: write.by }
    case "cancel":
      return { ...of, _tag: "StopId", id: write.task, by: write.by }
  }
}

const notesOf = (
  output: TaskLedger.Output,
  { key, offset, value }: StoredRecord,
  { ignored, items }: TaskConsumer,
): ReadonlyArray<LogRecord> => {
  const note = (one: TaskRecords.TaskNote): LogRecord => ({ key, value: TaskRecords.encodeTask(one) })
  const see = (item: Uint8Array): void => {
    const { attempt = 0, data, end, error, of = "", part = 0 } = Res.getOrThrow(decodeResult(item))
    items.push({ of, attempt, part, says: error?.code ?? data, end })
  }
  if (output._tag === "Ignored") {
    ignored.push(output.why)
    return []
  }
  const { task } = output
  switch (output._tag) {
    case "Opened":
      return [note({ task: task.seq, is: "open", id: task.id, name: task.name, data: JSON.parse(text(value)).data })]
    case "Began":
      return [note({ task: task.seq, is: "begun", run: output.run, attempt: task.attempt, next: task.next })]
    case "Part": {
      const { data } = JSON.parse(text(value))
      see(TaskRecords.encodePart(seqUnsafe(offset), task, output.part, JSON.stringify(data)))
      const { attempt, seq } = task
      return task.resumes ? [note({ task: seq, is: "progress", attempt, part: output.part, data })] : []
    }
    case "Ended":
      see(TaskRecords.encodeEnd(seqUnsafe(offset), output))
      return [note({ task: task.seq, is: "ended" })]
  }
}

/** The parts of a task's event that its client has, and its end: `undefined`, if it has none. */
export const seenOf = ({ items }: TaskConsumer, id: string) => {
  const all = items.filter(({ of }) => of === id)
  const parts = all.filter(({ end }) => end === undefined).map(({ says }) => says)
  return { parts, ends: all.flatMap(({ end }) => end ?? []), attempts: [...new Set(all.map(({ attempt }) => attempt))] }
}

/** What a zombie would publish. */
export const publishAs = Effect.fnUntraced(function* (
  clientId: string,
  write: TaskRecords.TaskWrite & { readonly task: Seq | EventId },
) {
  yield* append((yield* Topics).events, { key: clientId, value: TaskRecords.encodeTask(write) })
})
