/**
 * Which tasks of a partition have not ended, and which of them run: for operators, from the notes of the tasks topic.
 *
 * ```
 *   committed ──▶ open ──▶ waits ── begun ──▶ runs, at a worker, since then ── ended ──▶ gone
 *                                    └─ begun by a later attempt ──▶ runs there
 * ```
 *
 * What stands below the commit of the task workers has ended, so a reader begins there.
 *
 * 1. A task is listed from its first `open` to its `ended`, or until the commit has passed it.
 * 2. Its run is that of the latest attempt. A consumer that starts over writes older notes again, and these change nothing.
 * 3. At most `limit` tasks are kept. Of those beyond it is known only that there are more, until the commit has passed them.
 *
 * Deterministic; no I/O, clock or randomness. Its state is changed in place.
 */
import type { ClientId, EventId, RunId, Seq } from "./Ids.ts"
import type { TaskNote } from "./TaskRecords.ts"

/** A task that has not ended. */
export interface OpenTask {
  readonly clientId: ClientId
  readonly seq: Seq
  readonly id: EventId
  readonly name: string
  /** When it was opened. */
  readonly since: number
  /** Its latest attempt. Absent: it waits for a worker. */
  readonly run?: { readonly worker: string; readonly attempt: number; readonly since: number }
}

/** A note as it lies in the tasks topic. */
export interface PlacedNote {
  readonly offset: number
  readonly clientId: ClientId
  /** By the clock of the log, in ms since 1970. */
  readonly time: number
  readonly note: TaskNote
}

interface Entry {
  readonly offset: number
  row: OpenTask
}

/** What is known of the tasks of a partition. */
export class OpenTasks {
  readonly limit: number
  /** In the order of the topic. */
  private readonly entries = new Map<Seq, Entry>()
  /** The last one that was not kept. */
  private left = -1

  constructor(limit: number) {
    this.limit = limit
  }

  get size(): number {
    return this.entries.size
  }

  /** Whether there are tasks that were not kept. */
  get hasMore(): boolean {
    return this.left >= 0
  }

  /** The oldest first. */
  *rows(): Generator<OpenTask> {
    for (const { row } of this.entries.values()) yield row
  }

  /** Takes the next note of the topic. */
  add({ clientId, note, offset, time }: PlacedNote): void {
    switch (note.is) {
      case "open":
        if (this.entries.has(note.task)) return
        if (this.entries.size >= this.limit) return void (this.left = offset)
        const { id, name, task: seq } = note
        return void this.entries.set(seq, { offset, row: { clientId, seq, id, name, since: time } })
      case "begun": {
        const entry = this.entries.get(note.task)
        const { attempt, run } = note
        if (entry === undefined || (entry.row.run?.attempt ?? 0) >= attempt) return
        return void (entry.row = { ...entry.row, run: { worker: workerOf(run), attempt, since: time } })
      }
      case "ended":
        return void this.entries.delete(note.task)
      case "progress":
    }
  }

  /** The task workers have committed up to here: what stands below has ended. */
  commit(next: number): void {
    if (this.left < next) this.left = -1
    for (const [seq, { offset }] of this.entries) {
      if (offset >= next) return
      this.entries.delete(seq)
    }
  }
}

/** The first part of the ids of its runs (`runIdOf`). */
const workerOf = (run: RunId): string => run.slice(0, Math.max(0, run.lastIndexOf("."))) || run
