/**
 * The parts of one run on their way to the log: numbered, joined where the task says how, and no further ahead of the log
 * than there is room for.
 *
 * ```
 *   handler ─ texts ─▶ joined for `join_ms`, or up to `join_bytes` ─▶ writer ─▶ log
 *      ▲                                                                 │
 *      └───────── not pulled until there is room ◀── acknowledged ───────┘
 * ```
 *
 * 1. The first part after a pause leaves at once; those that follow it within `join_ms` leave together.
 * 2. What leaves are the parts in their order, or several of them as one: joined, they are the same text, or the same array.
 * 3. The end leaves behind all parts.
 */
import { Effect, Latch } from "effect"
import {
  type Failure,
  type LogRecord,
  recordBytes,
  roomOf,
  type RunId,
  type Seq,
  TaskRecords,
} from "@nimbus/domain/protocol"
import type { Combine } from "@nimbus/domain/services"
import type { TaskSender, TaskWriter } from "./TaskWriter.ts"

export interface TaskPartsOptions {
  readonly clientId: string
  readonly task: Seq
  readonly run: RunId
  /** Of its first part. */
  readonly next: number
  readonly combine: Combine | undefined
  readonly join_ms: number
  readonly join_bytes: number
  readonly buffer_parts: number
  readonly buffer_bytes: number
  /** The same of all tasks of the partition. */
  readonly all_bytes: number
  /** The most that a part may take up in the topics, as `roomOf` counts it. */
  readonly most_bytes: number
  readonly writer: TaskWriter
  readonly now_ms: () => number
  /** Something waits to be joined. */
  readonly onJoining: (parts: TaskParts) => void
  /** Records of it are in the log, or will never be. */
  readonly onSettled: (parts: TaskParts) => void
  /** A part leaves. */
  readonly onPart: () => void
}

export class TaskParts implements TaskSender {
  private readonly options: TaskPartsOptions
  private readonly room = Latch.makeUnsafe()
  private next: number
  /** On their way to the log. */
  private parts = 0
  private bytes = 0
  private joined: string | undefined = undefined
  /** When the last one left. */
  private left_ms = -Infinity
  private hasEnded = false
  isClosed = false

  constructor(options: TaskPartsOptions) {
    this.options = options
    this.next = options.next
  }

  /** When what waits to be joined is to leave. */
  get due_ms(): number {
    return this.joined === undefined ? Infinity : this.left_ms + this.options.join_ms
  }

  /** The end is on its way. */
  get isEnding(): boolean {
    return this.hasEnded
  }

  /** The end is in the log, and so is all before it. */
  get isDone(): boolean {
    return this.hasEnded && this.parts === 0
  }

  /** Takes parts, and is done when there is room for more. */
  offer(texts: ReadonlyArray<string>, from = 0): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      for (let i = from; i < texts.length; i++) {
        if (!this.hasRoom()) {
          this.leaveIfQuiet()
          return Effect.andThen(this.awaitRoom, this.offer(texts, i))
        }
        const failure = this.take(texts[i]!)
        if (failure !== undefined) return Effect.fail(failure)
      }
      this.leaveIfQuiet()
      return Effect.void
    })
  }

  /** What waits to be joined leaves. */
  flush(): void {
    const { joined } = this
    this.joined = undefined
    if (joined !== undefined) this.leave(joined)
  }

  /** Behind all parts. */
  end(error: Failure | undefined): void {
    this.flush()
    const { run, task } = this.options
    const end = { task, do: "end", run, part: this.next } as const
    this.hasEnded = true
    this.write(TaskRecords.encodeTask(error === undefined ? end : { ...end, error }))
  }

  /** Nothing more of it is written. */
  close(): void {
    this.isClosed = true
    this.joined = undefined
    this.room.openUnsafe()
  }

  settled(records: number, bytes: number): void {
    this.parts -= records
    this.bytes -= bytes
    this.options.onSettled(this)
  }

  /** There may be room for more. */
  look(): void {
    if (this.hasRoom()) this.room.openUnsafe()
  }

  private readonly awaitRoom = Effect.suspend(() => {
    this.room.closeUnsafe()
    return this.hasRoom() ? Effect.void : this.room.await
  })

  private hasRoom(): boolean {
    const { all_bytes, buffer_bytes, buffer_parts, writer } = this.options
    if (this.parts === 0) return true
    return this.parts < buffer_parts && this.bytes < buffer_bytes && writer.bytes < all_bytes
  }

  /** Why it can't be taken, where it can't. */
  private take(text: string): Failure | undefined {
    const { combine, join_bytes } = this.options
    if (combine !== undefined && isOf(combine, text)) {
      if (this.joined !== undefined && this.joined.length + text.length > join_bytes) this.flush()
      if (text.length < join_bytes) {
        this.joined = this.joined === undefined ? text : join(this.joined, text)
        return undefined
      }
    }
    this.flush()
    return this.leave(text)
  }

  private leaveIfQuiet(): void {
    if (this.joined === undefined) return
    if (this.due_ms <= this.options.now_ms()) this.flush()
    else this.options.onJoining(this)
  }

  private leave(text: string): Failure | undefined {
    const { clientId: key, most_bytes, now_ms, onPart, run, task } = this.options
    const value = TaskRecords.encodePartOfRun(task, run, this.next, text)
    const bytes = roomOf({ key, value })
    if (bytes > most_bytes) {
      return { code: "BAD_OUTPUT", message: `a part takes up ${bytes} bytes, and the log takes ${most_bytes}` }
    }
    this.left_ms = now_ms()
    this.next++
    onPart()
    this.write(value)
    return undefined
  }

  private write(value: Uint8Array): void {
    const record: LogRecord = { key: this.options.clientId, value }
    this.parts++
    this.bytes += recordBytes(record)
    this.options.writer.add(this, record)
  }
}

/** Whether the JSON of a part is of the kind that can be joined. */
const isOf = (combine: Combine, text: string): boolean => text[0] === (combine === "strings" ? '"' : "[")

/** Two strings as one, or two arrays, both as JSON. */
const join = (one: string, other: string): string => {
  if (one[0] === '"') return one.slice(0, -1) + other.slice(1)
  if (one === "[]") return other
  return other === "[]" ? one : `${one.slice(0, -1)},${other.slice(1)}`
}
