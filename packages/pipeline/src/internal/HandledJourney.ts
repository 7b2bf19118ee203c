/**
 * The steps `logged` and `handled` on sampled records. Nobody else sees both the
 * record's place and time in the log and the record itself: who publishes a chunk is told but the offset of its first.
 */
import { Effect } from "effect"
import { JourneyRecorder } from "@nimbus/domain/observability"
import { type Event, type Headers, Journey, type Result, type StoredRecord } from "@nimbus/domain/protocol"
import { EventLog } from "@nimbus/domain/services"
import { Instance } from "../Instance.ts"

export interface HandledJourney {
  /** The record, which is sampled, is there, and has its turn from now on. */
  begin(record: StoredRecord): HandledRecord
}

/** How long an event waited for its handler since the log had it, and how long that took, retries included. */
export interface HandlerTimes {
  readonly waited_ms: number
  readonly took_ms: number
}

export interface HandledRecord extends Pick<JourneyRecorder.ChunkRecorder, "end"> {
  /** The headers of what leaves for it. No `event`: it is a barrier. */
  handled(event?: Event, result?: Result, times?: HandlerTimes): Headers
  /** The same of what is handed to the task workers. */
  opened(event: Event): Headers
}

export const make = Effect.fnUntraced(function* (service: string, topic: string, partition: number) {
  const { incarnation } = yield* EventLog
  const recorder = yield* JourneyRecorder.make({ service, instance: yield* Instance })

  const logged = ({ offset, timestamp }: StoredRecord): Journey.JourneyStep => ({
    time: timestamp,
    service: "log",
    instance: incarnation,
    step: "logged",
    details: { rule: Journey.rules.logged, topic, partition: String(partition), offset: String(offset) },
  })
  const ruleOf = (event: Event | undefined, result: Result | undefined): string => {
    if (result?.repeated !== undefined) return Journey.rules.repeated
    return event?.type === "event" ? Journey.rules.handled : Journey.rules.passed
  }
  const detailsOf = (event: Event | undefined, result: Result | undefined, times: HandlerTimes | undefined) => ({
    rule: ruleOf(event, result),
    ...(event !== undefined && { name: event.name }),
    ...(result?.error !== undefined && { error: result.error.code }),
    ...(result?.repeated !== undefined && { repeated: String(result.repeated) }),
    ...(times !== undefined && { waited_ms: String(times.waited_ms), took_ms: String(times.took_ms) }),
  })
  const journey: HandledJourney = {
    begin: (record) => {
      const { headers: from, key: clientId } = record
      const { end, step } = recorder.chunk()
      const before = logged(record)
      return {
        end,
        handled: (event, result, times) =>
          step("handled", { clientId, from, before, details: detailsOf(event, result, times) }),
        opened: ({ name }) =>
          step("handled", { clientId, from, before, details: { rule: Journey.rules.opened, name } }),
      }
    },
  }
  return journey
})
