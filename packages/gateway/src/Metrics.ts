/**
 * What a gateway counts and measures, under the names that Prometheus knows it by: plain numbers, added to by callbacks
 * of the hot path, handed to Effect's metrics once a tick. docs/metrics.md says what each of them means.
 */
import { secondsBoundaries } from "@nimbus/domain/observability"
import type { Session } from "@nimbus/domain/protocol"
import { Effect, Metric } from "effect"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(name, { description })
const seconds = (name: string, description: string) =>
  Metric.histogram(name, { description, boundaries: secondsBoundaries })

const counters = {
  accepted: counter("nimbus_gateway_events_accepted_total", "Events that the log has stored"),
  cancels: counter("nimbus_gateway_cancels_total", "Cancels of clients that the log has stored"),
  replayed: counter("nimbus_gateway_results_replayed_total", "Results from mailboxes that were handed to transports"),
  nacked: counter("nimbus_gateway_nacks_total", "Pushes that no session at this gateway could take"),
  trims: counter(
    "nimbus_gateway_mailbox_trims_total",
    "Mailboxes that were trimmed by what their clients acknowledged",
  ),
  held: counter("nimbus_gateway_held_total", "Times a connection was not read because its events were not answered"),
  superseded: counter(
    "nimbus_gateway_superseded_total",
    "Sessions that were closed, or not opened, because of a newer one",
  ),
  directReaders: counter(
    "nimbus_gateway_direct_readers_total",
    "Direct delivery: readers of a partition that were started",
  ),
  directPasses: counter("nimbus_gateway_direct_passes_total", "Direct delivery: reads of older results"),
  barriersAgain: counter("nimbus_gateway_barriers_again_total", "Barriers that did not return in time"),
  chatMessages: counter("nimbus_gateway_chat_messages_total", "Chat: messages that the log has stored"),
  chatSkipped: counter("nimbus_gateway_chat_skipped_total", "Chat: records of the chats topic that can't be decoded"),
  chatNoRoom: counter("nimbus_gateway_chat_no_room_total", "Chat: records of the chats topic without a room"),
  chatOutOfPlace: counter(
    "nimbus_gateway_chat_out_of_place_total",
    "Chat: messages that other producers wrote without a key, or into another partition than that of their room",
  ),
  chatCatchUps: counter(
    "nimbus_gateway_chat_catch_ups_total",
    "Chat: how often a socket read the log for what it had missed",
  ),
  chatBehind: counter(
    "nimbus_gateway_chat_behind_total",
    "Chat: how often a live socket was too slow and had to catch up",
  ),
  followed: counter("nimbus_gateway_journeys_total", "Events whose journey is sampled"),
  stepsDropped: counter(
    "nimbus_gateway_journey_steps_dropped_total",
    "Records of journey steps that were dropped at their bound, or that the log did not store",
  ),
}

/** Each with the name of its label. Labels' values are ours, so there are few of them. */
const labelled = {
  delivered: ["door", counter("nimbus_gateway_results_delivered_total", "Results that were handed to transports")],
  lost: [
    "door",
    counter("nimbus_gateway_lost_total", "How often retention removed results before their client had them"),
  ],
  demoted: ["reason", counter("nimbus_gateway_demotions_total", "Sessions that were LIVE and returned to REPLAYING")],
  refused: ["code", counter("nimbus_gateway_refused_total", "Invalid requests and frames of clients")],
  failed: ["operation", counter("nimbus_gateway_failures_total", "Calls to the log, a store or a channel that failed")],
} as const

const histograms = {
  accept: seconds(
    "nimbus_gateway_accept_seconds",
    "The time from the first event of a batch until the log has the batch",
  ),
  resultLatency: seconds(
    "nimbus_gateway_result_latency_seconds",
    "The time from the acceptance of an event until its result is sent, for sampled events whose client was LIVE all that time",
  ),
  handover: seconds("nimbus_gateway_handover_seconds", "How long sessions were REPLAYING before they became LIVE"),
}

const sessions = gauge("nimbus_gateway_sessions", "Connections with a session")

export const chatSockets = gauge("nimbus_gateway_chat_sockets", "Chat: sockets in rooms")

type Counter = keyof typeof counters
type Labelled = keyof typeof labelled
type Histogram = keyof typeof histograms

/** What the label of `addTo` may be, where its values are known. */
interface Labels extends Readonly<Record<Labelled, string>> {
  readonly demoted: Session.Demotion
}

export class Counts {
  private readonly counts = new Map<Counter, number>()
  private readonly byLabel: Readonly<Record<Labelled, Map<string, number>>> = {
    delivered: new Map(),
    lost: new Map(),
    demoted: new Map(),
    refused: new Map(),
    failed: new Map(),
  }
  private observed: Array<readonly [Histogram, number]> = []
  private readonly sessions = new Map<string, number>()

  add(counter: Counter, n: number): void {
    this.counts.set(counter, (this.counts.get(counter) ?? 0) + n)
  }

  addTo<C extends Labelled>(counter: C, label: Labels[C], n = 1): void {
    const byLabel = this.byLabel[counter]
    byLabel.set(label, (byLabel.get(label) ?? 0) + n)
  }

  /** A clock that went back, or that of another machine, may say less than nothing. */
  observe(histogram: Histogram, elapsed_ms: number): void {
    this.observed.push([histogram, Math.max(0, elapsed_ms) / 1000])
  }

  /** A session has come (1) or gone (-1). */
  session(door: string, n: 1 | -1): void {
    this.sessions.set(door, (this.sessions.get(door) ?? 0) + n)
  }

  /** Hands everything over since the last call. */
  flush(): Effect.Effect<void> {
    return Effect.contextWith((context) =>
      Effect.sync(() => {
        for (const [name, n] of this.counts) counters[name].updateUnsafe(n, context)
        for (const name of labelledNames) {
          const [label, metric] = labelled[name]
          for (const [value, n] of this.byLabel[name]) {
            Metric.withAttributes(metric, { [label]: value }).updateUnsafe(n, context)
          }
          this.byLabel[name].clear()
        }
        for (const [name, value] of this.observed) histograms[name].updateUnsafe(value, context)
        this.counts.clear()
        this.observed = []
        for (const [door, n] of this.sessions) {
          Metric.withAttributes(sessions, { door }).updateUnsafe(n, context)
        }
      }),
    )
  }
}

const labelledNames = ["delivered", "lost", "demoted", "refused", "failed"] as const satisfies ReadonlyArray<Labelled>
