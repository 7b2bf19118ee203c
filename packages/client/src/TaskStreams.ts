/**
 * The streams of tasks: what a reader gets of the parts that the client keeps (`KeptTasks.ts`), from the first one on.
 *
 * A reader has no queue. It looks at what is kept, and waits for a change where it has seen all of it. When it pulls again it
 * has read what it got, and the core learns that (`Read`): parts that it has still to read are never forgotten, and if they
 * fill all room, further ones are not acknowledged (`Tasks.ts`). If a task has several readers, this holds for the newest.
 */
import { type EventId, Guards } from "@nimbus/domain/protocol"
import type { Schema } from "effect"
import * as Array from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Input, State } from "./Core.ts"
import {
  type ClientError,
  EventFailed,
  EventRefused,
  EventRepeated,
  PartsForgotten,
  ResultLost,
  TaskCancelled,
  type TaskError,
  TaskRestarted,
  TaskNotKept,
} from "./Errors.ts"
import { look, type Place, type Task, type TaskEvent } from "./KeptTasks.ts"
import type { TaskEnd } from "./Memory.ts"

/** How a stream is read. */
export interface TaskOptions {
  /**
   * Called when the task begins again: the parts before are void. The next part comes after it. Default: the stream fails with
   * `TaskRestarted`.
   */
  readonly onRestart?: ((attempt: number) => void) | undefined
  /** Whether the task is cancelled when its reader leaves before the end. Default: no, since it can be resumed. */
  readonly cancelOnLeave?: boolean | undefined
}

/**
 * The parts of a task, in order, each once, until its end. It completes when the task is done. It fails with `EventFailed` if
 * the handler failed, and with `TaskCancelled` if the task was cancelled. Each run starts with the first part.
 */
export interface TaskStream extends Stream.Stream<Schema.Json, TaskError> {
  /** The id of the event, by which the task is resumed and cancelled. */
  readonly id: string
  /** The same with the numbers of the parts, and with a notice where the task begins again. */
  readonly events: Stream.Stream<TaskEvent, TaskError>
  /** Sends the event, and succeeds when the log has it. A run does this itself; the event is sent once. */
  readonly start: Effect.Effect<void, TaskError>
}

/** A task that the client remembers. */
export interface RememberedTask {
  readonly id: EventId
  readonly name: string
  /** Absent: it has not ended. */
  readonly end?: TaskEnd["as"]
}

export interface TaskStreams {
  /** A stream that runs `start` first. */
  make(id: string, start: Effect.Effect<void, TaskError>, options: TaskOptions | undefined): TaskStream
  readonly remembered: Effect.Effect<ReadonlyArray<RememberedTask>>
  /** There is more of this task, or it has ended. */
  changed(id: EventId): void
  /** Readers get what is kept, then the error. */
  end(cause: Cause.Cause<ClientError>): void
  readonly size: { readonly readers: number }
}

interface Reader extends Place {
  readonly reader: number
  readonly changed: Latch.Latch
  /** The task has ended for it. */
  isThrough: boolean
}

type EventPull = Pull.Pull<Array.NonEmptyReadonlyArray<TaskEvent>, TaskError>

export const make = (core: State, tell: (input: Input) => unknown): TaskStreams => {
  const readers = new Map<EventId, Array<Reader>>()
  let ended: Cause.Cause<ClientError> | undefined
  let count = 0

  const attach = (task: Task) =>
    Effect.sync(() => {
      const reader: Reader = {
        reader: count++,
        changed: Latch.makeUnsafe(),
        began: task.began,
        next: 0,
        isThrough: false,
      }
      readers.set(task.id, [...(readers.get(task.id) ?? []), reader])
      return reader
    })
  const detach = ({ id }: Task, reader: Reader, isCancel: boolean | undefined) =>
    Effect.sync(() => {
      const others = (readers.get(id) ?? []).filter((other) => other !== reader)
      if (others.length > 0) readers.set(id, others)
      else readers.delete(id)
      const newest = others.at(-1)
      // Its parts are kept from now on; those that the other one has read may be gone.
      if (newest === undefined) tell({ _tag: "Left", id, reader: reader.reader })
      else tell({ _tag: "Read", id, reader: newest.reader, began: newest.began, next: newest.next })
      if (isCancel === true && !reader.isThrough && ended === undefined) tell({ _tag: "Cancel", id })
    })
  const changed = (id: EventId): void => {
    for (const reader of readers.get(id) ?? []) reader.changed.openUnsafe()
  }
  const pullOf = (task: Task, reader: Reader): EventPull =>
    Effect.suspend((): EventPull => {
      reader.changed.closeUnsafe()
      const { began, next } = reader
      const isNewest = readers.get(task.id)?.at(-1) === reader
      if (isNewest && ended === undefined) tell({ _tag: "Read", id: task.id, reader: reader.reader, began, next })
      const events = look(task, reader)
      if (Array.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
      if (task.end === undefined && ended === undefined)
        return Effect.andThen(reader.changed.await, pullOf(task, reader))
      reader.isThrough = true
      return task.end === undefined ? Effect.failCause(ended!) : outcomeOf(task.id, task.end)
    })
  const find = (id: string): Effect.Effect<Task, TaskError> => {
    const tasks: ReadonlyMap<string, Task> = core.ledger.tasks
    const task = tasks.get(id)
    if (task !== undefined) return Effect.succeed(task)
    for (const [known, first] of core.ledger.doubtful) {
      if (known === id && first !== undefined) return Effect.fail(new EventRepeated({ id: known, first }))
    }
    return Effect.fail(new TaskNotKept({ id }))
  }
  return {
    make: (id, start, options) => {
      const run = <A>(read: (pull: EventPull, task: Task) => Pull.Pull<Array.NonEmptyReadonlyArray<A>, TaskError>) =>
        Stream.unwrap(
          Effect.gen(function* () {
            yield* start
            const task = yield* find(id)
            const reader = yield* Effect.acquireRelease(attach(task), (reader) =>
              detach(task, reader, options?.cancelOnLeave),
            )
            return Stream.fromPull(Effect.succeed(read(pullOf(task, reader), task)))
          }),
        )
      const parts = run((pull, task) => partsOf(pull, task.id, options?.onRestart))
      return Object.assign(parts, { id, events: run((pull) => pull), start })
    },
    remembered: Effect.sync(() =>
      Array.fromIterable(core.ledger.tasks.values()).map(({ end, id, name }) =>
        end === undefined ? { id, name } : { id, name, end: end.as },
      ),
    ),
    changed,
    end: (cause) => {
      ended ??= cause
      for (const id of readers.keys()) changed(id)
    },
    get size() {
      return { readers: readers.size }
    },
  }
}

/** The parts alone. A pull means that the parts before were processed, so that is when a restart is told. */
const partsOf = (
  pull: EventPull,
  id: EventId,
  onRestart: TaskOptions["onRestart"],
): Pull.Pull<Array.NonEmptyReadonlyArray<Schema.Json>, TaskError> =>
  Effect.flatMap(pull, (events) => {
    const parts: Array<Schema.Json> = []
    for (const event of events) {
      if (event.type === "part") parts.push(event.data)
      else if (event.type === "gap") return Effect.fail(new PartsForgotten({ id, parts: event.parts }))
      else if (onRestart === undefined) return Effect.fail(new TaskRestarted({ id, attempt: event.attempt }))
      else onRestart(event.attempt)
    }
    return Array.isReadonlyArrayNonEmpty(parts) ? Effect.succeed(parts) : partsOf(pull, id, onRestart)
  })

/** How a stream ends when its task has. */
const outcomeOf = (id: EventId, { as, error, first }: TaskEnd): Pull.Pull<never, TaskError> => {
  const failure = error ?? { code: "", message: "" }
  switch (as) {
    case "done":
      return Cause.done()
    case "failed":
      return Effect.fail(new EventFailed({ id, failure }))
    case "refused":
      return Effect.fail(new EventRefused({ id, refusal: failure }))
    case "cancelled":
      return Effect.fail(new TaskCancelled({ id }))
    case "repeated":
      return Effect.fail(new EventRepeated({ id, first: first ?? Guards.beginning }))
    case "lost":
      return Effect.fail(new ResultLost({ id }))
  }
}
