/** What the records of the tasks topic say to the queue of a task worker. */
import { Result as Res } from "effect"
import { isClientId, type StoredRecord, type TaskQueue, TaskRecords, seqUnsafe } from "@nimbus/domain/protocol"
import type { Refused } from "../Quarantine.ts"

/** Some records of a chunk. */
export interface TaskNotes {
  readonly records: ReadonlyArray<TaskQueue.TaskRecord>
  /** Those that are no notes. */
  readonly refused: ReadonlyArray<Refused>
}

/** Takes what a task has to do, and says who has caused it, where that is known. */
export type OnOpen = (open: TaskRecords.TaskNote & { readonly is: "open" }, record: StoredRecord) => string | undefined

/** Reads them. */
export const notesIn = (records: ReadonlyArray<StoredRecord>, onOpen: OnOpen): TaskNotes => {
  const notes: Array<TaskQueue.TaskRecord> = []
  const refused: Array<Refused> = []
  for (const record of records) {
    const note = noteOf(record, onOpen)
    if (typeof note === "string") refused.push({ record, reason: note })
    else notes.push(note)
  }
  return { records: notes, refused }
}

/** Why it is none, where it is none. */
const noteOf = (record: StoredRecord, onOpen: OnOpen): TaskQueue.TaskRecord | string => {
  const { key: clientId, offset, unreadable, value } = record
  if (unreadable !== undefined) return unreadable
  if (!isClientId(clientId)) return "the key is no client id"
  // Of progress nothing is needed now, and there is much of it.
  if (TaskRecords.isProgress(value)) return { offset, clientId, seq: seqUnsafe(0), _tag: "Progress" }
  const decoded = TaskRecords.decodeTaskNote(value)
  if (Res.isFailure(decoded)) return decoded.failure.reason
  const note = decoded.success
  const of = { offset, clientId, seq: note.task }
  switch (note.is) {
    case "open":
      return { ...of, _tag: "Task", id: note.id, name: note.name, subject: onOpen(note, record) }
    case "begun":
      return { ...of, _tag: "Began", run: note.run, attempt: note.attempt, next: note.next }
    case "progress":
      return { ...of, _tag: "Progress" }
    case "ended":
      return { ...of, _tag: "Ended" }
  }
}
