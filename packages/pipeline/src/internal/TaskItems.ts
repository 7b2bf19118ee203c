/**
 * What leaves for a record of the events topic that has to do with a task: an item for its client, by the results topic,
 * and a note for the task workers, by the tasks topic.
 *
 * ```
 *   verdict                                  item    note
 *   the event opens a task                           open
 *   a run begins                                     begun
 *   a part counts                            part    progress, of a task that resumes
 *   the task ends                            end     ended
 *   a run begins of a task that is not open          ended
 *   anything else                            nothing
 * ```
 *
 * A consumer that was replaced, and does not know yet, may write notes late: a task may be opened in the tasks topic behind
 * its own end. Its worker begins it, and must be answered that it has ended.
 */
import { type Event, type Failure, roomOf, type Seq, TaskRecords } from "@nimbus/domain/protocol"
import type { TaskVerdict } from "./Tasks.ts"

export interface TaskLeaving {
  readonly item: Uint8Array | undefined
  readonly note: Uint8Array | undefined
}

const nothing: TaskLeaving = { item: undefined, note: undefined }

/** What leaves for an event that opens a task. */
export const ofEvent = (seq: Seq, { data, id, name }: Event): TaskLeaving => ({
  item: undefined,
  note: TaskRecords.encodeTask({ task: seq, is: "open", id, name, data }),
})

/** What leaves for a record of a task. `most_bytes`: what an item may take up. */
export const ofWrite = (
  seq: Seq,
  key: string,
  write: TaskRecords.TaskWriteText,
  verdict: TaskVerdict | undefined,
  most_bytes: number,
): TaskLeaving => {
  switch (verdict?._tag) {
    case "Began": {
      const { attempt, next, seq: task } = verdict.task
      return {
        item: undefined,
        note: TaskRecords.encodeTask({ task, is: "begun", run: verdict.run, attempt, next }),
      }
    }
    case "Part":
      return write.do === "part" ? ofPart(seq, key, write.text, verdict, most_bytes) : nothing
    case "Ended":
      return { item: TaskRecords.encodeEnd(seq, verdict), note: ended(verdict.task.seq) }
    case "Ignored":
      return verdict.why === "unknown" && write.do === "begin" ? { item: undefined, note: ended(write.task) } : nothing
    default:
      return nothing
  }
}

const ended = (task: Seq): Uint8Array => TaskRecords.encodeTask({ task, is: "ended" })

const ofPart = (
  seq: Seq,
  key: string,
  text: string,
  { part, task }: TaskVerdict & { readonly _tag: "Part" },
  most_bytes: number,
): TaskLeaving => {
  const item = TaskRecords.encodePart(seq, task, part, text)
  const bytes = roomOf({ key, value: item })
  const fits = bytes <= most_bytes
  const note = task.resumes ? TaskRecords.encodeProgress(task.seq, task.attempt, part, fits ? text : "null") : undefined
  return { item: fits ? item : TaskRecords.encodeFailedPart(seq, task, part, tooBig(bytes, most_bytes)), note }
}

/** Workers publish none: this one is of somebody else. Nobody's items wait behind what can't be written. */
const tooBig = (bytes: number, most_bytes: number): Failure => ({
  code: "RESULT_TOO_BIG",
  message: `the part takes up ${bytes} bytes, and the log takes ${most_bytes}`,
})
