/**
 * The journey of an event: what happened to it, where and when, as steps.
 *
 * Steps travel beside the data, in the record header `nimbus-journey`, never inside its encoded bytes. An event whose
 * journey nobody follows has no such header and costs nothing. What happens after the last record (pushed, sent,
 * acknowledged) goes in batches to the journey topic, keyed by client.
 */
import { Option, Schema } from "effect"
import { ClientId, Seq } from "./Ids.ts"
import type { Headers } from "./Records.ts"

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

export const JourneyStep = Schema.Struct({
  /** ms since 1970, by the clock of the instance. */
  time: Schema.Int,
  /** gateway, log, event-consumer, result-consumer or replay-consumer. */
  service: Schema.String,
  /** Which process: a pod id, or the consumer's. Of the log which life. */
  instance: Schema.String,
  step: StepName,
  details: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
})
export type JourneyStep = typeof JourneyStep.Type

/** A record of the journey topic: steps of one result that no record header could carry any more. */
export const LateSteps = Schema.Struct({ clientId: ClientId, seq: Seq, steps: Schema.Array(JourneyStep) })
export type LateSteps = typeof LateSteps.Type

export const header = "nimbus-journey"

const Steps = Schema.fromJsonString(Schema.Array(JourneyStep))
const encodeSteps = Schema.encodeSync(Steps)
const decodeSteps = Schema.decodeOption(Steps)

/** Whether anyone follows this record. */
export const isFollowed = (headers: Headers | undefined): headers is Headers =>
  headers !== undefined && headers[header] !== undefined

/** The headers of an event that somebody follows from here on. */
export const follow = (step: JourneyStep): Headers => ({ [header]: encodeSteps([step]) })

/** The steps so far. A header that is not ours reads as none: a journey never stops a record. */
export const steps = (headers: Headers | undefined): ReadonlyArray<JourneyStep> =>
  isFollowed(headers) ? Option.getOrElse(decodeSteps(headers[header]!), () => []) : []

/** One step more, on a followed record; the same headers on any other. */
export const append = (headers: Headers | undefined, step: () => JourneyStep): Headers | undefined =>
  isFollowed(headers) ? { ...headers, [header]: encodeSteps([...steps(headers), step()]) } : headers
