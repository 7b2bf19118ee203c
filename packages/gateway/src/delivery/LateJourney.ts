/**
 * The end of a followed event's journey: `sent` and `acknowledged` happen after its last record, so they go to the
 * journey topic, in batches. Events that nobody follows cost one look at their headers.
 */
import {
  type ClientId,
  type Cursor,
  EventLog,
  type Item,
  Journey,
  type LogRecord,
  partitionOf,
  type PodId,
  type Seq,
  Topics,
} from "@nimbus/domain"
import { Clock, Effect, Schema, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"
import { makeFlusher } from "./Flusher.ts"

export interface LateJourney {
  sent(clientId: ClientId, items: ReadonlyArray<Item>): void
  acknowledged(clientId: ClientId, upTo: Cursor): void
  /** Forgets what a session never acknowledged. */
  closed(clientId: ClientId): void
}

const collect_ms = 200
const encode = Schema.encodeSync(Schema.fromJsonString(Journey.LateSteps))
const utf8 = new TextEncoder()

export const makeLateJourney = (
  pod: PodId,
  late_steps: number,
  counts: Counts,
): Effect.Effect<LateJourney, never, EventLog | Topics | Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const topic = (yield* Topics).journey
    const clock = yield* Clock.Clock
    const unacknowledged = new Map<ClientId, Array<Seq>>()
    let waiting: Array<LogRecord> = []

    const flush = Effect.suspend(() => {
      const batch = waiting
      waiting = []
      const byPartition = Map.groupBy(batch, ({ key }) => partitionOf(key, log.partitions))
      return Effect.forEach(
        byPartition,
        ([partition, records]) =>
          // Journeys are for looking at: one that the log does not take is shown as missing.
          Effect.catch(Effect.asVoid(log.publish(topic, partition, records)), () =>
            Effect.sync(() => counts.add("stepsDropped", records.length)),
          ),
        { discard: true },
      )
    })
    const soon = yield* makeFlusher(flush, collect_ms)

    const add = (clientId: ClientId, seq: Seq, step: Journey.StepName): void => {
      if (waiting.length >= late_steps) return counts.add("stepsDropped", 1)
      const steps = [{ time: clock.currentTimeMillisUnsafe(), service: "gateway", instance: pod, step }]
      waiting.push({ key: clientId, value: utf8.encode(encode({ clientId, seq, steps })) })
      soon.wake()
    }
    return {
      sent(clientId, items) {
        for (const { headers, seq } of items) {
          if (!Journey.isFollowed(headers)) continue
          add(clientId, seq, "sent")
          const seqs = unacknowledged.get(clientId)
          if (seqs === undefined) unacknowledged.set(clientId, [seq])
          else seqs.push(seq)
        }
      },
      acknowledged(clientId, upTo) {
        const seqs = unacknowledged.get(clientId)
        if (seqs === undefined) return
        const rest = seqs.filter((seq) => seq > upTo)
        for (const seq of seqs) if (seq <= upTo) add(clientId, seq, "acknowledged")
        if (rest.length === 0) unacknowledged.delete(clientId)
        else unacknowledged.set(clientId, rest)
      },
      closed: (clientId) => void unacknowledged.delete(clientId),
    }
  })
