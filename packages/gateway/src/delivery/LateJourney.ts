/**
 * The end of a sampled event's journey: `sent` and `acknowledged` happen after its last record, so they are late steps.
 * Events that are not sampled cost one look at their headers.
 */
import { type JourneyRecorder, registerSize } from "@nimbus/domain/observability"
import { type ClientId, type Cursor, type Item, Journey, type Seq } from "@nimbus/domain/protocol"
import { type EventLog, LateSteps, type Topics } from "@nimbus/domain/services"
import { Effect, Exit, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"

export interface LateJourney {
  /** `live_ms`: since when the client is LIVE; `undefined`: it is not, so what it is sent has waited for it. */
  sent(clientId: ClientId, items: ReadonlyArray<Item>, live_ms: number | undefined): void
  acknowledged(clientId: ClientId, upTo: Cursor): void
  /** Forgets what a session never acknowledged. */
  closed(clientId: ClientId): void
}

/** A sampled result that awaits its ack. */
interface Sent {
  readonly seq: Seq
  readonly step: JourneyRecorder.RecordedLate
}

export const makeLateJourney = (
  recorder: JourneyRecorder.JourneyRecorder,
  late_steps: number,
  counts: Counts,
): Effect.Effect<LateJourney, never, EventLog | Topics | Scope.Scope> =>
  Effect.gen(function* () {
    const dropped = (records: number) => Effect.sync(() => counts.add("stepsDropped", records))
    const late = yield* LateSteps.make({ late_steps, dropped })
    const unacknowledged = new Map<ClientId, Array<Sent>>()
    yield* registerSize("late journey", {
      get size() {
        let unacknowledgedResults = 0
        for (const results of unacknowledged.values()) unacknowledgedResults += results.length
        return { unacknowledged: unacknowledgedResults }
      },
    })
    return {
      sent(clientId, items, live_ms) {
        for (const { headers: from, seq } of items) {
          if (!Journey.isSampled(from)) continue
          const before = Journey.steps(from)
          const step = recorder.late(late, "sent", { clientId, seq, from, details: { rule: ruleOf(before.at(-1)) } })
          const [first] = before
          if (first?.step === "accepted" && live_ms !== undefined && first.time >= live_ms) {
            counts.observe("resultLatency", step.time_ms - first.time)
          }
          const results = unacknowledged.get(clientId)
          if (results === undefined) unacknowledged.set(clientId, [{ seq, step }])
          else results.push({ seq, step })
        }
      },
      acknowledged(clientId, upTo) {
        const results = unacknowledged.get(clientId)
        if (results === undefined) return
        const rest = results.filter(({ seq }) => seq > upTo)
        const details = { rule: Journey.rules.acknowledged, upTo: String(upTo) }
        for (const { seq, step } of results) {
          if (seq > upTo) continue
          step.end()
          recorder.late(late, "acknowledged", { clientId, seq, details })
        }
        if (rest.length === 0) unacknowledged.delete(clientId)
        else unacknowledged.set(clientId, rest)
      },
      closed: (clientId) => {
        for (const { step } of unacknowledged.get(clientId) ?? []) step.end(Exit.interrupt())
        unacknowledged.delete(clientId)
      },
    }
  })

/** By which rule a result is delivered: what its record went through last says from where it came. */
const ruleOf = (last: Journey.JourneyStep | undefined): string => {
  if (last?.step === "put") return Journey.rules.sentFromMailbox
  return last?.step === "routed" ? Journey.rules.sentFromPush : Journey.rules.sentFromLog
}
