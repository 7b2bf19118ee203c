/**
 * What a client is told, as bytes for its stream.
 *
 * A result's `data` is any JSON, while the contract's `number` and `result` are int32. Where they say all of it, they
 * stand alone; otherwise `data_json` has the whole. A number of theirs that is no int32 is an error, never another
 * number. What a client of the old contract has no field for, an error or a loss, stands in `log` as well, as its last
 * step, as a repeat and the end of a task do; and `log` is always there, for such a client may not look whether it is.
 */
import { create, toBinary } from "@bufbuild/protobuf"
import { timestampFromMs } from "@bufbuild/protobuf/wkt"
import { type Item, Journey, type Seq, type TaskOutcome } from "@nimbus/domain/protocol"
import type { GatewayLimits } from "../Limits.ts"
import type { Notice } from "../Transport.ts"
import { FrameWriter, type PartOfTask } from "./FrameWriter.ts"
import {
  AuthenticatedSchema,
  ErrorSchema,
  type EventResponse,
  EventResponseSchema,
  ExpiringSchema,
  LogEntrySchema,
  LostSchema,
  Status,
  TaskEnd,
  TaskItemSchema,
  type TraceStep,
  TraceStepSchema,
  WelcomeSchema,
} from "./gen/nimbus_pb.js"

interface Failure {
  readonly code: string
  readonly message: string
  /** What is missing, where it is a capability. */
  readonly capability?: string | undefined
  /** It is about the cancel of this event. */
  readonly cancel?: string | undefined
}

/** The event that a refusal is about. */
export interface About {
  readonly eventName: string
  readonly number: number
  readonly eventId: string
}

/** The bytes of results on a stream. `saw` is told the record of each. */
export const encodeResults = (
  items: ReadonlyArray<Item>,
  withJourney: boolean,
  saw: (record: ResultRecord) => void,
): Buffer => {
  const writer = new FrameWriter()
  for (const item of items) {
    const record = recordIn(item.value)
    if (record !== undefined) saw(record)
    if (withJourney && Journey.isSampled(item.headers)) writer.message(toBytes(resultOf(item, record, true)))
    else if (!writePlain(writer, item.seq, record)) writer.message(toBytes(resultOf(item, record, false)))
  }
  return writer.finish()
}

/** Whether the record was one that can be written by hand. */
const writePlain = (writer: FrameWriter, seq: Seq, record: ResultRecord | undefined): boolean => {
  if (record === undefined || "error" in record || record.repeated !== undefined || record.end !== undefined)
    return false
  const { dataJson, failure, number, result } = contractDataOf(record.data)
  if (failure !== undefined) return false
  writer.result({ seq, id: record.id, name: record.name, number, result, dataJson, part: partIn(record) })
  return true
}

export const refusalOf = ({ eventId, eventName, number }: About, error: Failure): EventResponse => {
  const refusal = response()
  refusal.eventId = eventId
  refusal.eventName = eventName
  refusal.number = number
  return failed(refusal, error)
}

export const noticeOf = (notice: Notice, { dedupe_records }: Pick<GatewayLimits, "dedupe_records">): EventResponse => {
  const told = response()
  switch (notice._tag) {
    case "Welcome": {
      const { after, epoch, log, status } = notice
      told.welcome = create(WelcomeSchema, {
        epoch: BigInt(epoch),
        log,
        after: BigInt(after),
        status: statuses[status],
        dedupeRecords: dedupe_records,
      })
      return told
    }
    case "Accepted":
      told.accepted = [...notice.ids]
      return told
    case "Cancelling":
      told.cancelling = [...notice.ids]
      return told
    case "Status":
      told.status = statuses[notice.status]
      return told
    case "Lost": {
      const { after, upTo } = notice
      told.lost = create(LostSchema, { after: BigInt(after) })
      if (upTo !== undefined) told.lost.upTo = BigInt(upTo)
      const range = upTo === undefined ? `after ${after}` : `after ${after} up to ${upTo}`
      return note(told, "lost", `results ${range} are not kept any more`)
    }
    case "Error":
      return failed(told, notice)
    case "Refused": {
      const { id, isCancel } = notice
      if (isCancel) return failed(told, { ...notice, cancel: id })
      told.eventId = id
      return failed(told, notice)
    }
    case "Expiring":
      told.expiring = create(ExpiringSchema, { seconds: notice.seconds })
      return told
    case "Authenticated":
      told.authenticated = create(AuthenticatedSchema, notice.seconds === undefined ? {} : { seconds: notice.seconds })
      return told
  }
}

/** The bytes of one response on a stream. */
export const encode = (response: EventResponse): Buffer => {
  const writer = new FrameWriter()
  writer.message(toBytes(response))
  return writer.finish()
}

const toBytes = (response: EventResponse): Uint8Array => toBinary(EventResponseSchema, response)

const noSteps = create(LogEntrySchema)

const response = (): EventResponse => {
  const response = create(EventResponseSchema)
  response.log = noSteps
  return response
}

/** A result as the generated code has it. */
export const resultOf = (
  { headers, seq }: Item,
  record: ResultRecord | undefined,
  withJourney: boolean,
): EventResponse => {
  const result = response()
  result.seq = BigInt(seq)
  if (withJourney) remark(result, ...Journey.steps(headers).map(stepOf))
  if (record === undefined) return failed(result, corrupt(seq))
  result.eventName = record.name
  result.eventId = record.id
  if ("error" in record) failed(result, record.error)
  else if (record.repeated !== undefined) repeat(result, record.repeated)
  else fill(result, contractDataOf(record.data))
  return record.of === undefined ? result : taskItem(result, record.of, record)
}

const partIn = ({ attempt = 0, of, part = 0 }: ResultRecord): PartOfTask | undefined =>
  of === undefined ? undefined : { of, attempt, part }

const taskItem = (told: EventResponse, of: string, { attempt, end, part }: ResultRecord): EventResponse => {
  told.task = create(TaskItemSchema, { of, attempt: attempt ?? 0, part: part ?? 0 })
  if (end === undefined) return told
  told.task.end = taskEnds[end]
  return note(told, "task", `the task of event ${of} has ended: ${end}`)
}

const taskEnds: Readonly<Record<TaskOutcome, TaskEnd>> = {
  done: TaskEnd.DONE,
  failed: TaskEnd.FAILED,
  cancelled: TaskEnd.CANCELLED,
}

const fill = (told: EventResponse, { dataJson, failure, number, result }: ContractData): void => {
  told.number = number
  told.result = result
  if (dataJson !== undefined) told.dataJson = dataJson
  if (failure !== undefined) failed(told, failure)
}

const repeat = (told: EventResponse, first: number): void => {
  told.repeatOf = BigInt(first)
  note(told, "repeated", `the id was used before, at seq ${first}: no handler ran`)
}

/** Data in the words of the contract. */
interface ContractData {
  number: number
  result: number
  dataJson: string | undefined
  failure: Failure | undefined
}

const contractDataOf = (data: unknown): ContractData => {
  const words: ContractData = { number: 0, result: 0, dataJson: undefined, failure: undefined }
  let isWhole = typeof data === "object" && data !== null && !Array.isArray(data)
  for (const [key, value] of typeof data === "object" && data !== null ? Object.entries(data) : []) {
    if (key !== "number" && key !== "result") isWhole = false
    else if (isInt32(value)) words[key] = value
    else {
      isWhole = false
      if (typeof value === "number") words.failure = notInt32(key, value)
    }
  }
  if (!isWhole) words.dataJson = JSON.stringify(data)
  return words
}

const isInt32 = (n: unknown): n is number => typeof n === "number" && (n | 0) === n

const notInt32 = (key: string, n: number): Failure => ({
  code: "NOT_INT32",
  message: `${key} is ${n}, which is no int32 as this contract has it; data_json has it`,
})

const corrupt = (seq: Seq): Failure => ({ code: "CORRUPT_RECORD", message: `the record at ${seq} can't be read` })

const failed = (response: EventResponse, { cancel, capability, code, message }: Failure): EventResponse => {
  response.error = create(ErrorSchema, { code, message })
  if (capability !== undefined) response.error.capability = capability
  if (cancel !== undefined) response.error.cancel = cancel
  return note(response, "error", `${code}: ${message}`)
}

/** Says it where clients of the old contract see it. */
const note = (response: EventResponse, methodName: string, message: string): EventResponse =>
  remark(response, create(TraceStepSchema, { serviceName: "gateway", methodName, message }))

const remark = (response: EventResponse, ...steps: ReadonlyArray<TraceStep>): EventResponse => {
  response.log = create(LogEntrySchema, { steps: [...(response.log ?? noSteps).steps, ...steps] })
  return response
}

const stepOf = ({ details, instance, service, step, time }: Journey.JourneyStep): TraceStep =>
  create(TraceStepSchema, {
    timestamp: timestampFromMs(time),
    serviceName: service,
    instanceId: instance,
    methodName: step,
    message: `${step} by ${service}`,
    metadata: { ...details },
  })

/** Of a part or the end of a task. */
interface TaskFields {
  readonly of?: string
  readonly attempt?: number
  readonly part?: number
  readonly end?: TaskOutcome
}

export type ResultRecord = { readonly id: string; readonly name: string } & TaskFields &
  ({ readonly data: unknown; readonly repeated?: number } | { readonly error: Failure })

const utf8 = new TextDecoder()

/** A record of a mailbox or a push, which our own encoder wrote; `undefined` if not. */
export const recordIn = (value: Uint8Array): ResultRecord | undefined => {
  let record: unknown
  try {
    record = JSON.parse(utf8.decode(value))
  } catch {
    return undefined
  }
  return isRecord(record) ? record : undefined
}

const isRecord = (u: unknown): u is ResultRecord =>
  typeof u === "object" &&
  u !== null &&
  "id" in u &&
  typeof u.id === "string" &&
  "name" in u &&
  typeof u.name === "string" &&
  ("data" in u || ("error" in u && isFailure(u.error))) &&
  (!("repeated" in u) || typeof u.repeated === "number") &&
  (!("of" in u) || isTaskItem(u))

/** What the contract has room for. */
const isCount = (n: unknown): n is number => isInt32(n) && n >= 0

const isTaskItem = (u: object): boolean =>
  "of" in u &&
  typeof u.of === "string" &&
  "attempt" in u &&
  isCount(u.attempt) &&
  "part" in u &&
  isCount(u.part) &&
  (!("end" in u) || (typeof u.end === "string" && Object.hasOwn(taskEnds, u.end)))

const isFailure = (u: unknown): u is Failure =>
  typeof u === "object" &&
  u !== null &&
  "code" in u &&
  typeof u.code === "string" &&
  "message" in u &&
  typeof u.message === "string"

const statuses = { OFFLINE: Status.UNSPECIFIED, REPLAYING: Status.REPLAYING, LIVE: Status.LIVE } as const
