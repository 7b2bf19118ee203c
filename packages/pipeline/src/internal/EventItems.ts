/**
 * What the event consumer makes of a record of the events topic: something to be handled or passed on, with the bytes that
 * leave for it. A result is encoded here, once: its bytes go unchanged to the client. What has to do with a task is passed
 * on in its turn, as a message is.
 */
import { Result as Res } from "effect"
import { withoutCaller } from "@nimbus/domain/access"
import {
  type ClientId,
  decodeEvent,
  encodeCompleted,
  encodePlacedBarrier,
  encodeResult,
  type Event,
  type EventRecord,
  isClientId,
  Journey,
  type LogRecord,
  type OrderItem,
  partitionOf,
  recordBytes,
  repeatOf,
  type Result,
  roomOf,
  type Seq,
  seqUnsafe,
  type StoredRecord,
  TaskRecords,
} from "@nimbus/domain/protocol"
import { fittingResult, type Handlers, type PlacedEvent } from "@nimbus/domain/services"
import { Callers } from "./Callers.ts"
import type { HandledJourney, HandledRecord, HandlerTimes } from "./HandledJourney.ts"
import type { Repeats } from "./Repeats.ts"
import * as TaskItems from "./TaskItems.ts"
import type { TaskMeter } from "./TaskMeter.ts"
import type { Tasks, TaskVerdict } from "./Tasks.ts"

export interface EventItem extends OrderItem {
  bytes: number
  readonly timestamp: number
  /** The name of a declared handler, else `unknown`. */
  readonly handler: string
  /** Where its id was used first, if it is a repeat. */
  readonly repeated: Seq | undefined
  /** What became of it, if it has to do with a task. */
  readonly task: TaskVerdict | undefined
  /** What is to be handled, as long as it is: a message, a barrier, a repeat, and what has to do with a task are not. */
  placed: PlacedEvent | undefined
  /** As long as it is needed. */
  source: StoredRecord | undefined
  /** What leaves for it to its client, once that is known. */
  leaves: LogRecord | undefined
  /** What leaves for it to the task workers. */
  note: LogRecord | undefined
  /** When its handler began, in ms since 1970; 0: it has not. */
  started_ms: number
  /** The code of its error, where its result is one. */
  failed: string | undefined
  /** Of what is sampled alone. */
  readonly journey: HandledRecord | undefined
}

export interface EventItemsOptions {
  readonly partition: number
  readonly partitions: number
  /** The most that one record may take up in the topics. */
  readonly most_bytes: number
  readonly journey: HandledJourney
  readonly handlers: Pick<Handlers["Service"], "knows" | "limitOf">
  readonly unknown_event_wait_ms: number
  readonly repeats: Repeats
  readonly tasks: Tasks
  readonly meter: TaskMeter
  readonly now_ms: () => number
}

export class EventItems {
  private readonly options: EventItemsOptions
  private readonly callers = new Callers()
  private at_ms = -1
  private at = ""

  constructor(options: EventItemsOptions) {
    this.options = options
  }

  /**
   * Of a record that is read for the first time, in the order of the log. Why it can't be read, where it can't: also where
   * one that was read can't be passed on.
   */
  of(record: StoredRecord): EventItem | string {
    const decoded = this.decode(record)
    if (typeof decoded === "string") return decoded
    const verdict = this.take(record, decoded)
    if (typeof verdict === "object") this.options.meter(verdict)
    return this.item(record, decoded, verdict)
  }

  /** Of a record of which only the offset was kept. */
  again(record: StoredRecord): EventItem | string {
    const { repeats, tasks } = this.options
    const decoded = this.decode(record)
    if (typeof decoded === "string") return decoded
    return this.item(record, decoded, repeats.again(record.offset) ?? tasks.again(record.offset))
  }

  /** A record that is finished: it counts for the repeats and the tasks after it. */
  pass(record: StoredRecord): void {
    const decoded = this.decode(record)
    if (typeof decoded !== "string") this.take(record, decoded)
  }

  private take({ offset, timestamp }: StoredRecord, { clientId, event, write }: Decoded): Verdict {
    const { repeats, tasks } = this.options
    if (write !== undefined) return tasks.write(offset, clientId, write)
    if (event.type === "barrier") return undefined
    const first = repeats.take(offset, clientId, event)
    if (first !== undefined || !tasks.has(event)) return first
    return tasks.event(offset, timestamp, clientId, event)
  }

  private item(record: StoredRecord, decoded: Decoded, verdict: Verdict): EventItem | string {
    try {
      return this.make(record, decoded, verdict)
    } catch (defect) {
      return cantBePassedOn(defect)
    }
  }

  private decode(record: StoredRecord): Decoded | string {
    try {
      return this.read(record)
    } catch (defect) {
      return cantBePassedOn(defect)
    }
  }

  private read(record: StoredRecord): Decoded | string {
    if (record.unreadable !== undefined) return record.unreadable
    const { key: clientId } = record
    if (!isClientId(clientId)) return "the key is no client id"
    const { partition, partitions } = this.options
    // Its seq would be compared with those of another partition.
    const home = partitionOf(clientId, partitions)
    if (home !== partition)
      return `the key belongs to partition ${home}: its producer has another partitioner than murmur2`
    if (TaskRecords.isTaskRecord(record.value)) {
      const read = TaskRecords.readTaskWrite(record.value)
      return Res.isFailure(read) ? read.failure.reason : { clientId, event: undefined, write: read.success }
    }
    const decoded = decodeEvent(record.value)
    if (Res.isFailure(decoded)) return decoded.failure.reason
    const event = decoded.success
    return this.refusal(record, event) ?? { clientId, event, write: undefined }
  }

  /** No transport takes a larger event, and what can't be written must hold up nobody. */
  private refusal({ key, value }: StoredRecord, event: EventRecord): string | undefined {
    const { most_bytes, tasks } = this.options
    if (event.type === "barrier" || !tasks.has(event)) return undefined
    return roomOf({ key, value }) <= most_bytes ? undefined : "it is too large to be handed to the task workers"
  }

  private make(record: StoredRecord, { clientId, event, write }: Decoded, verdict: Verdict): EventItem {
    const { handlers, journey, most_bytes, unknown_event_wait_ms } = this.options
    const seq = seqUnsafe(record.offset)
    const isHandled = event?.type === "event" && verdict === undefined
    const repeated = typeof verdict === "number" ? verdict : undefined
    const task = typeof verdict === "object" ? verdict : undefined
    const caller = isHandled ? this.callers.read(record.headers) : undefined
    const isKnown = isHandled && handlers.knows(event.name)
    const item: EventItem = {
      offset: record.offset,
      key: clientId,
      bytes: recordBytes(record),
      isHandled,
      slot: isKnown && handlers.limitOf(event.name) !== undefined ? event.name : undefined,
      subject: caller && this.callers.subjectOf(caller),
      notBefore_ms:
        isKnown || !isHandled || unknown_event_wait_ms === 0 ? undefined : record.timestamp + unknown_event_wait_ms,
      handler: isKnown ? event.name : "unknown",
      timestamp: record.timestamp,
      repeated,
      task,
      placed: isHandled ? { clientId, seq, event, caller } : undefined,
      source: record,
      leaves: undefined,
      note: undefined,
      started_ms: 0,
      failed: undefined,
      journey: Journey.isSampled(record.headers) ? journey.begin(record) : undefined,
    }
    if (write !== undefined) this.passOn(item, TaskItems.ofWrite(seq, clientId, write, task, most_bytes))
    else if (event.type === "barrier") this.leave(item, encodePlacedBarrier(seq, event))
    else if (task !== undefined) this.passOn(item, TaskItems.ofEvent(seq, event), event)
    else if (repeated !== undefined) this.answer(item, event, repeatOf(event, seq, repeated))
    else if (event.type === "message") this.answer(item, event, messageOf(seq, event))
    return item
  }

  /** What its handler says. */
  handled(item: EventItem, result: Result): void {
    item.failed = result.error?.code
    if (item.placed !== undefined) this.answer(item, item.placed.event, result)
  }

  /** It will not leave soon: what its bytes were cut out of is not kept for it. */
  keep(item: EventItem): void {
    const { placed, source } = item
    if (source === undefined || source.value.buffer.byteLength <= 2 * source.value.length) return
    const isQuoted = placed?.event.accepted !== undefined
    item.source = { ...source, value: isQuoted ? source.value.slice() : empty }
  }

  private answer(item: EventItem, event: Event, result: Result): void {
    const { accepted } = event
    const value =
      accepted === undefined || item.source === undefined
        ? encodeResult(result)
        : encodeCompleted(result, accepted, this.now(), item.source.value, result.data === event.data)
    this.leave(item, value, event, result)
  }

  private leave(item: EventItem, value: Uint8Array, event?: Event, result?: Result): void {
    const headers =
      item.journey === undefined ? item.source?.headers : item.journey.handled(event, result, this.timesOf(item))
    const record = { key: item.key, value, headers: withoutCaller(headers) }
    item.leaves = result === undefined ? record : fittingResult(record, result, this.options.most_bytes)
    item.source = undefined
    item.placed = undefined
  }

  /** What the worker of a task writes may go on with its journey, and what it is given has its caller. */
  private passOn(item: EventItem, { item: value, note }: TaskItems.TaskLeaving, opens?: Event): void {
    const { journey, key, source } = item
    const headers =
      journey === undefined ? source?.headers : opens === undefined ? journey.handled() : journey.opened(opens)
    if (value !== undefined) item.leaves = { key, value, headers: withoutCaller(headers) }
    if (note !== undefined) item.note = { key, value: note, headers: opens === undefined ? undefined : headers }
    item.bytes = bytesOf(item.leaves) + bytesOf(item.note)
    item.source = undefined
  }

  /** Of one that had a handler. */
  private timesOf({ started_ms, timestamp }: EventItem): HandlerTimes | undefined {
    if (started_ms === 0) return undefined
    return { waited_ms: Math.max(0, started_ms - timestamp), took_ms: Math.max(0, this.options.now_ms() - started_ms) }
  }

  /** Written once for each millisecond. */
  private now(): string {
    const now_ms = this.options.now_ms()
    if (now_ms !== this.at_ms) this.at = new Date((this.at_ms = now_ms)).toISOString()
    return this.at
  }
}

/** What a record says. */
type Decoded =
  | { readonly clientId: ClientId; readonly event: EventRecord; readonly write: undefined }
  | { readonly clientId: ClientId; readonly event: undefined; readonly write: TaskRecords.TaskWriteText }

/** Of a repeat, the seq of the first one with its id; of what has to do with a task, what becomes of it. */
type Verdict = Seq | TaskVerdict | undefined

const bytesOf = (record: LogRecord | undefined): number => (record === undefined ? 0 : recordBytes(record))

const cantBePassedOn = (defect: unknown): string =>
  `it can't be passed on: ${defect instanceof Error ? defect.message : String(defect)}`

const empty = new Uint8Array()

const messageOf = (seq: Result["seq"], { data, id, name }: Event): Result => ({ seq, id, name, data })
