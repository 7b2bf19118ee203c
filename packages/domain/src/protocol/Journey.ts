/**
 * The journey of an event: what happened to it, where and when, as steps.
 *
 * Steps travel beside the data, in the record header `nimbus-journey`, never inside its encoded bytes. An event whose
 * journey is not sampled has no such header and costs nothing. What happens after the last record (pushed, sent,
 * acknowledged) goes in batches to the journey topic, keyed by client. With `sent` go all steps of the header, so that
 * the whole journey of a delivered event can be read from the journey topic alone; a step may stand there twice.
 */
import { Schema } from "effect"
import { ClientId, Seq } from "./Ids.ts"
import type { Headers } from "./Records.ts"
import type { DivertReason } from "./Router.ts"
import { utf8 } from "./internal/Utf8.ts"

/** The steps of an event and of its result. */
export const StepName = Schema.Literals([
  /** Taken from its sender, for the log. */
  "accepted",
  /** In the events topic: the record's own time, and its place in `details`. */
  "logged",
  /** Answered by its handler. */
  "handled",
  /** On its way to the client's gateway. */
  "routed",
  /** Was on its way, and goes to the mailbox instead. */
  "diverted",
  /** Goes to the mailbox, for the client has no route. */
  "shelved",
  /** Into the mailbox. */
  "put",
  /** The gateway's channel has it. */
  "pushed",
  /** Handed to the client's connection. */
  "sent",
  /** The client has it. */
  "acknowledged",
])
export type StepName = typeof StepName.Type

/** One step: when it was taken, by which process, and why. */
export const JourneyStep = Schema.Struct({
  /** ms since 1970, by the clock of the instance. */
  time: Schema.Int,
  /** gateway, log, event-consumer, result-consumer or replay-consumer. */
  service: Schema.String,
  /** Which process: a pod id, or the consumer's. Of the log which life. */
  instance: Schema.String,
  step: StepName,
  /** `rule`: why, one of `rules`; and what else is known, such as the record's topic, partition and offset. */
  details: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
})
export type JourneyStep = typeof JourneyStep.Type

/** Why a step was taken: the rule of the protocol that applied, in the words of docs/protocol.md. */
export const rules = {
  accepted: "an event goes into the events topic",
  logged: "its offset in the events topic is its seq",
  handled: "an event has one result",
  passed: "a message passes by the handlers",
  repeated: "its id was used in the window",
  opened: "an event of a task is handed to the task workers",
  routed: "has a route",
  shelved: "has no route",
  diverted: {
    barrier: "a barrier diverts",
    nack: "a nack diverts",
    unreceived: "a push that nobody received diverts",
    "ack-timeout": "an ack timeout diverts",
    "client-full": "in flight of the client is full",
    "router-full": "routes and in flight are bounded in all",
  },
  put: "put by client and seq",
  pushed: "the pod's channel received it",
  sentFromPush: "from a push",
  sentFromMailbox: "from the mailbox",
  sentFromLog: "from the log",
  acknowledged: "the client's cumulative ack",
} as const satisfies Readonly<Record<string, string | Readonly<Record<DivertReason, string>>>>

/** A record of the journey topic: steps of one result that no record header can carry any more, or all of them. */
export const LateSteps = Schema.Struct({ clientId: ClientId, seq: Seq, steps: Schema.Array(JourneyStep) })
export type LateSteps = typeof LateSteps.Type

/** As the schema reads it. It never fails, whatever a clock may say: a journey never stops a record. */
const encodeStep = (step: JourneyStep): string =>
  JSON.stringify(Number.isInteger(step.time) ? step : { ...step, time: Math.trunc(step.time) })

const encodeSteps = (steps: ReadonlyArray<JourneyStep>): string => `[${steps.map(encodeStep).join(",")}]`

const stepNames: ReadonlySet<unknown> = new Set(StepName.literals)

/** As the schema has it (a property holds the two together): by hand, for it is done at every hop. */
const isStep = (u: unknown): u is JourneyStep =>
  typeof u === "object" &&
  u !== null &&
  "time" in u &&
  Number.isSafeInteger(u.time) &&
  "service" in u &&
  typeof u.service === "string" &&
  "instance" in u &&
  typeof u.instance === "string" &&
  "step" in u &&
  stepNames.has(u.step) &&
  (!("details" in u) || areDetails(u.details))

const areDetails = (u: unknown): boolean =>
  typeof u === "object" &&
  u !== null &&
  !Array.isArray(u) &&
  Object.values(u).every((value) => typeof value === "string")

/** The bytes of such a record. */
export const encodeLateSteps = ({ clientId, seq, steps }: LateSteps): Uint8Array =>
  utf8(`{"clientId":${JSON.stringify(clientId)},"seq":${seq},"steps":${encodeSteps(steps)}}`)

/** The record header that carries the steps so far. */
export const header = "nimbus-journey"

/** Whether this record is sampled. */
export const isSampled = (headers: Headers | undefined): headers is Headers =>
  headers !== undefined && headers[header] !== undefined

/** Whether one of these records is sampled. */
export const isAnySampled = (records: ReadonlyArray<{ readonly headers?: Headers | undefined }>): boolean =>
  records.some(({ headers }) => isSampled(headers))

/** The headers of an event that is sampled from here on. */
export const sample = (step: JourneyStep): Headers => ({ [header]: encodeSteps([step]) })

/** The steps so far. What is not ours reads as none: a journey never stops a record. */
export const steps = (headers: Headers | undefined): ReadonlyArray<JourneyStep> => {
  const text = isSampled(headers) ? headers[header]! : "[]"
  try {
    const found: unknown = JSON.parse(text)
    return Array.isArray(found) ? found.filter(isStep) : []
  } catch {
    return []
  }
}

/** The headers of a sampled record with these steps more. What stands there is not read again. */
export const append = (headers: Headers, ...more: ReadonlyArray<JourneyStep>): Headers => {
  if (more.length === 0) return headers
  const before = headers[header] ?? ""
  const added = encodeSteps(more)
  const isOurs = before.startsWith("[{") && before.endsWith("}]")
  return { ...headers, [header]: isOurs ? `${before.slice(0, -1)},${added.slice(1)}` : added }
}
