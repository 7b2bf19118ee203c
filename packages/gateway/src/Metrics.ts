/**
 * What a gateway counts: plain numbers, added to by callbacks of the hot path, handed to Effect's metrics once a tick.
 */
import { Effect, Metric } from "effect"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const counters = {
  accepted: counter("nimbus_gateway_events_accepted_total", "Events that the log has taken"),
  delivered: counter("nimbus_gateway_results_delivered_total", "Results handed to doors"),
  nacked: counter("nimbus_gateway_nacks_total", "Pushes that no session here could take"),
  superseded: counter("nimbus_gateway_superseded_total", "Sessions closed because a newer one was there"),
  directReaders: counter("nimbus_gateway_direct_readers_total", "Readers of a partition begun for direct delivery"),
  directPasses: counter("nimbus_gateway_direct_passes_total", "Readings of older results for direct delivery"),
  barriersAgain: counter("nimbus_gateway_barriers_again_total", "Barriers that did not come back in time"),
  chatMessages: counter("nimbus_gateway_chat_messages_total", "Chat messages that the log has taken"),
  chatSkipped: counter("nimbus_gateway_chat_skipped_total", "Records of the chats topic that can't be decoded"),
  chatCatchUps: counter("nimbus_gateway_chat_catch_ups_total", "Times a socket read the log for what it had missed"),
  chatBehind: counter("nimbus_gateway_chat_behind_total", "Times a live socket was too slow and had to catch up"),
  stepsDropped: counter(
    "nimbus_gateway_journey_steps_dropped_total",
    "Records of journey steps dropped at their bound",
  ),
}

const labelled = {
  refused: { label: "code", metric: counter("nimbus_gateway_refused_total", "Things clients said that were wrong") },
  failed: {
    label: "operation",
    metric: counter("nimbus_gateway_failures_total", "Calls to the log, a store or a channel that failed"),
  },
}

const sessions = Metric.gauge("nimbus_gateway_sessions", { description: "Connections with a session" })

export const chatSockets = Metric.gauge("nimbus_gateway_chat_sockets", { description: "Sockets in rooms" })

type Counter = keyof typeof counters
type Labelled = keyof typeof labelled

export class Counts {
  private counts = new Map<Counter, number>()
  private byLabel = { refused: new Map<string, number>(), failed: new Map<string, number>() }

  add(counter: Counter, n: number): void {
    this.counts.set(counter, (this.counts.get(counter) ?? 0) + n)
  }

  /** `label`: the code of a refusal, or the operation that failed. Both are ours, so there are few of them. */
  addTo(counter: Labelled, label: string): void {
    const byLabel = this.byLabel[counter]
    byLabel.set(label, (byLabel.get(label) ?? 0) + 1)
  }

  /** Hands everything over since the last call. */
  flush(open_sessions: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const updates = [...this.counts].map(([name, n]) => Metric.update(counters[name], n))
      for (const name of ["refused", "failed"] as const) {
        const { label, metric } = labelled[name]
        for (const [value, n] of this.byLabel[name]) {
          updates.push(Metric.update(Metric.withAttributes(metric, { [label]: value }), n))
        }
        this.byLabel[name].clear()
      }
      this.counts.clear()
      updates.push(Metric.update(sessions, open_sessions))
      return Effect.all(updates, { discard: true })
    })
  }
}
