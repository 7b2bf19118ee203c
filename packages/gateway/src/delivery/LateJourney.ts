/**
 * The end of a sampled event's journey: `sent` and `acknowledged` happen after its last record, so they go to the
 * journey topic, in batches; with `sent` all steps before it. Events that are not sampled cost one look at their
 * headers.
 */
import { chunkLimits } from "@nimbus/domain/limits"
import { registerSize, Trace } from "@nimbus/domain/observability"
import {
  chunksOf,
  type ClientId,
  type Cursor,
  type Item,
  Journey,
  type LogRecord,
  partitionOf,
  type PodId,
  type Seq,
} from "@nimbus/domain/protocol"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Clock, Effect, Exit, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"
import { makeFlusher } from "./Flusher.ts"

export interface LateJourney {
  /** `live_ms`: since when the client is LIVE; `undefined`: it is not, so what it is sent has waited for it. */
  sent(clientId: ClientId, items: ReadonlyArray<Item>, live_ms: number | undefined): void
  acknowledged(clientId: ClientId, upTo: Cursor): void
  /** Forgets what a session never acknowledged. */
  closed(clientId: ClientId): void
}

const collect_ms = 200

/** A sampled result that awaits its ack. */
interface Sent {
  readonly seq: Seq
  readonly hop: Trace.Hop | undefined
}

export const makeLateJourney = (
  pod: PodId,
  late_steps: number,
  counts: Counts,
): Effect.Effect<LateJourney, never, EventLog | Topics | Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const topic = (yield* Topics).journey
    const clock = yield* Clock.Clock
    const trace = yield* Trace.make
    const unacknowledged = new Map<ClientId, Array<Sent>>()
    let waiting: Array<LogRecord> = []

    /** Journeys are for looking at: one that the log does not take is shown as missing. */
    const publish = ({ chunk, partition }: { readonly partition: number; readonly chunk: ReadonlyArray<LogRecord> }) =>
      Effect.catch(log.publish(topic, partition, chunk), () =>
        Effect.sync(() => counts.add("stepsDropped", chunk.length)),
      )
    const flush = Effect.suspend(() => {
      const batch = waiting
      waiting = []
      const byPartition = Map.groupBy(batch, ({ key }) => partitionOf(key, log.partitions))
      const chunks = [...byPartition].flatMap(([partition, records]) =>
        chunksOf(records, chunkLimits).map((chunk) => ({ partition, chunk })),
      )
      return Effect.forEach(chunks, publish, { discard: true })
    })
    const soon = yield* makeFlusher(flush, collect_ms)
    yield* registerSize("late journey", {
      get size() {
        let unacknowledgedResults = 0
        for (const results of unacknowledged.values()) unacknowledgedResults += results.length
        return { steps: waiting.length, unacknowledged: unacknowledgedResults }
      },
    })

    const stepOf = (step: "sent" | "acknowledged", details: Readonly<Record<string, string>>): Journey.JourneyStep => ({
      time: clock.currentTimeMillisUnsafe(),
      service: "gateway",
      instance: pod,
      step,
      details,
    })
    const add = (clientId: ClientId, seq: Seq, ...steps: ReadonlyArray<Journey.JourneyStep>): void => {
      if (waiting.length >= late_steps) return counts.add("stepsDropped", 1)
      waiting.push({ key: clientId, value: Journey.encodeLateSteps({ clientId, seq, steps }) })
      soon.wake()
    }
    return {
      sent(clientId, items, live_ms) {
        for (const { headers, seq } of items) {
          if (!Journey.isSampled(headers)) continue
          const before = Journey.steps(headers)
          const sent = stepOf("sent", { rule: ruleOf(before.at(-1)) })
          const [first] = before
          if (first?.step === "accepted" && live_ms !== undefined && first.time >= live_ms) {
            counts.observe("resultLatency", sent.time - first.time)
          }
          add(clientId, seq, ...before, sent)
          const hop = trace.begin("deliver", {
            clientId,
            from: headers,
            details: { ...sent.details, seq: String(seq) },
          })
          const results = unacknowledged.get(clientId)
          if (results === undefined) unacknowledged.set(clientId, [{ seq, hop }])
          else results.push({ seq, hop })
        }
      },
      acknowledged(clientId, upTo) {
        const results = unacknowledged.get(clientId)
        if (results === undefined) return
        const rest = results.filter(({ seq }) => seq > upTo)
        const details = { rule: Journey.rules.acknowledged, upTo: String(upTo) }
        for (const { hop, seq } of results) {
          if (seq > upTo) continue
          hop?.end()
          add(clientId, seq, stepOf("acknowledged", details))
        }
        if (rest.length === 0) unacknowledged.delete(clientId)
        else unacknowledged.set(clientId, rest)
      },
      closed: (clientId) => {
        for (const { hop } of unacknowledged.get(clientId) ?? []) hop?.end(Exit.interrupt())
        unacknowledged.delete(clientId)
      },
    }
  })

/** By which rule a result is delivered: what its record went through last says from where it came. */
const ruleOf = (last: Journey.JourneyStep | undefined): string => {
  if (last?.step === "put") return Journey.rules.sentFromMailbox
  return last?.step === "routed" ? Journey.rules.sentFromPush : Journey.rules.sentFromLog
}
