/**
 * The records of tasks and their wire formats. Keys are client ids and values JSON, as in `Records`.
 *
 * ```
 * events topic   {"task":12,"do":"begin","run":"w1.7"}                            a worker wants to run it
 *                {"task":12,"do":"part","run":"w1.7","part":0,"data":…}           a part of the run's answer
 *                {"task":12,"do":"end","run":"w1.7","part":3}                     behind all parts; with "error": failed
 *                {"task":12,"do":"stop","by":"expired"}                           by the pipeline
 *                {"task":"e1","do":"cancel","by":"client"}                        a client knows the id of its event alone
 * tasks topic    {"task":12,"is":"open","id":"e1","name":"ask","data":…}          to be run
 *                {"task":12,"is":"begun","run":"w1.7","attempt":1,"next":0}       the run may start, at this part
 *                {"task":12,"is":"progress","attempt":1,"part":0,"data":…}        of tasks that resume
 *                {"task":12,"is":"ended"}
 * results topic  {"seq":13,"id":"t12.1.0","name":"ask","data":…,"of":"e1","attempt":1,"part":0}
 *                {"seq":16,"id":"t12.end","name":"ask","data":null,"of":"e1","attempt":1,"part":3,"end":"done"}
 *                {"seq":16,"id":"t12.end","name":"ask","error":…,"of":"e1","attempt":1,"part":3,"end":"failed"}
 * ```
 *
 * A task is named by the seq of its event. `TaskLedger` decides what becomes of the records of the events topic, and the
 * tasks topic has what it decided. `task` stands first in both, in this one spelling, so that a reader of the events topic
 * tells them from events by a glance (`isTaskRecord`).
 */
import { Result as Res, Schema } from "effect"
import { CorruptRecord } from "../Errors.ts"
import { EventId, RunId, runIdUnsafe, Seq, seqUnsafe } from "./Ids.ts"
import { utf8 } from "./internal/Utf8.ts"
import { EventName, Failure, isTaskRecord } from "./Records.ts"
import type * as TaskLedger from "./TaskLedger.ts"

/** Of a part, in its attempt or over all attempts (`TaskLedger`). */
const PartNumber = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Attempt = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/** A worker wants to run a task. */
export const TaskBegin = Schema.Struct({ task: Seq, do: Schema.Literal("begin"), run: RunId })

/** A part of a run's answer. */
export const TaskPart = Schema.Struct({
  task: Seq,
  do: Schema.Literal("part"),
  run: RunId,
  part: PartNumber,
  data: Schema.Json,
})

/** A run has come to its end, behind all of its parts. */
export const TaskEnd = Schema.Struct({
  task: Seq,
  do: Schema.Literal("end"),
  run: RunId,
  part: PartNumber,
  error: Schema.optionalKey(Failure),
})

/** The pipeline ends a task that no worker ends. */
export const TaskStop = Schema.Struct({
  task: Seq,
  do: Schema.Literal("stop"),
  by: Schema.Literals(["operator", "abandoned", "expired", "full"]),
})

/** Somebody ends the latest task of an id. */
export const TaskCancel = Schema.Struct({
  task: EventId,
  do: Schema.Literal("cancel"),
  by: Schema.Literals(["client", "operator"]),
})

/** A record of the events topic that has to do with a task. */
export const TaskWrite = Schema.Union([TaskBegin, TaskPart, TaskEnd, TaskStop, TaskCancel])
export type TaskWrite = typeof TaskWrite.Type

/** A task that is to be run. */
export const OpenTask = Schema.Struct({
  task: Seq,
  is: Schema.Literal("open"),
  id: EventId,
  name: EventName,
  data: Schema.Json,
})

/** A run may start. Of a task that resumes, earlier attempts have the parts before `next`. */
export const BegunTask = Schema.Struct({
  task: Seq,
  is: Schema.Literal("begun"),
  run: RunId,
  attempt: Attempt,
  next: PartNumber,
})

/** A part that counts, of a task that resumes. */
export const TaskProgress = Schema.Struct({
  task: Seq,
  is: Schema.Literal("progress"),
  attempt: Attempt,
  part: PartNumber,
  data: Schema.Json,
})

/** A task that has ended, whoever has ended it. */
export const EndedTask = Schema.Struct({ task: Seq, is: Schema.Literal("ended") })

/** A record of the tasks topic. */
export const TaskNote = Schema.Union([OpenTask, BegunTask, TaskProgress, EndedTask])
export type TaskNote = typeof TaskNote.Type

/** The bytes of either topic's records: `task` first, whatever order the caller's fields have. */
export const encodeTask = ({ task, ...rest }: TaskWrite | TaskNote): Uint8Array =>
  utf8(JSON.stringify({ task, ...rest }))

/** The bytes of a part of a run, whose `data` is JSON as text: there are many of them. */
export const encodePartOfRun = (task: Seq, run: RunId, part: number, data: string): Uint8Array =>
  utf8(`{"task":${task},"do":"part","run":"${run}","part":${part},"data":${data}}`)

export { isTaskRecord }

const prefix_bytes = `{"task":`.length
const progress = utf8(`,"is":"progress",`)

/** Whether a record of the tasks topic is the progress of a task, by its first bytes: most are. */
export const isProgress = (value: Uint8Array): boolean => {
  if (!isTaskRecord(value)) return false
  let at = prefix_bytes
  while (isDigit(value[at])) at++
  for (let i = 0; i < progress.length; i++) if (value[at + i] !== progress[i]) return false
  return true
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39

const decoder = new TextDecoder("utf-8", { fatal: true })

const decodeWith = <A, I>(schema: Schema.Codec<A, I>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (value: Uint8Array): Res.Result<A, CorruptRecord> =>
    Res.try({
      try: (): unknown => JSON.parse(decoder.decode(value)),
      catch: (error) => new CorruptRecord({ reason: error instanceof Error ? error.message : String(error) }),
    }).pipe(Res.flatMap((json) => Res.mapError(decode(json), (error) => new CorruptRecord({ reason: error.message }))))
}

/** Decodes a record of the events topic that `isTaskRecord`. */
export const decodeTaskWrite = decodeWith(TaskWrite)

/** What a record of the events topic says of a task: of a part its data as JSON text. */
export type TaskWriteText =
  | Exclude<TaskWrite, typeof TaskPart.Type>
  | (Omit<typeof TaskPart.Type, "data"> & { readonly text: string })

const usualPart =
  /^\{"task":(0|[1-9]\d{0,15}),"do":"part","run":"([A-Za-z0-9._:-]{1,128})","part":(0|[1-9]\d{0,15}),"data":/

/**
 * The same for the hot path. What `encodePartOfRun` has written is recognised by hand, and its data is parsed only to see
 * that it is JSON: it goes on as it is written. Everything else goes through the schema.
 */
export const readTaskWrite = (value: Uint8Array): Res.Result<TaskWriteText, CorruptRecord> => {
  const part = readUsualPart(value)
  if (part !== undefined) return Res.succeed(part)
  return Res.map(decodeTaskWrite(value), (write): TaskWriteText => {
    if (write.do !== "part") return write
    const { data, ...others } = write
    return { ...others, text: JSON.stringify(data) }
  })
}

const readUsualPart = (value: Uint8Array): TaskWriteText | undefined => {
  try {
    const written = decoder.decode(value)
    const match = usualPart.exec(written)
    if (match === null || !written.endsWith("}") || lineBreak.test(written)) return undefined
    const [head, task, run = "", part] = match
    const of = { task: Number(task), part: Number(part) }
    if (!Number.isSafeInteger(of.task) || !Number.isSafeInteger(of.part)) return undefined
    const text = written.slice(head.length, -1)
    JSON.parse(text)
    return { task: seqUnsafe(of.task), do: "part", run: runIdUnsafe(run), part: of.part, text }
  } catch {
    // The schema says what is wrong.
    return undefined
  }
}

/** Text that goes on as it is stands in streams of lines. */
const lineBreak = /[\n\r]/

/** Decodes a record of the tasks topic. */
export const decodeTaskNote = decodeWith(TaskNote)

type Ended = TaskLedger.Output & { readonly _tag: "Ended" }

/** The item of a part, as its client gets it. `data`: its JSON as text. */
export const encodePart = (
  seq: Seq,
  { attempt, id, name, seq: task }: TaskLedger.Task,
  part: number,
  data: string,
): Uint8Array =>
  utf8(
    `{"seq":${seq},"id":"t${task}.${attempt}.${part}","name":${JSON.stringify(name)},"data":${data},` +
      `"of":${JSON.stringify(id)},"attempt":${attempt},"part":${part}}`,
  )

/** The item of a part that is larger than the topics take. */
export const encodeFailedPart = (
  seq: Seq,
  { attempt, id, name, seq: task }: TaskLedger.Task,
  part: number,
  error: Failure,
): Uint8Array =>
  utf8(
    `{"seq":${seq},"id":"t${task}.${attempt}.${part}","name":${JSON.stringify(name)},"error":${JSON.stringify(error)},` +
      `"of":${JSON.stringify(id)},"attempt":${attempt},"part":${part}}`,
  )

/** The note of a part that counts, of a task that resumes. `data`: its JSON as text. */
export const encodeProgress = (task: Seq, attempt: number, part: number, data: string): Uint8Array =>
  utf8(`{"task":${task},"is":"progress","attempt":${attempt},"part":${part},"data":${data}}`)

/** The item of a task's end, as its client gets it. */
export const encodeEnd = (seq: Seq, ended: Ended): Uint8Array => {
  const { attempt, id, name, seq: task } = ended.task
  const outcome = ended.end === "failed" ? `"error":${JSON.stringify(ended.error)}` : `"data":null`
  return utf8(
    `{"seq":${seq},"id":"t${task}.end","name":${JSON.stringify(name)},${outcome},` +
      `"of":${JSON.stringify(id)},"attempt":${attempt},"part":${ended.part},"end":"${ended.end}"}`,
  )
}
