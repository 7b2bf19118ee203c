/** What readers of Kafka count and measure. docs/metrics.md says what each of them means. */
import { type Effect, Metric } from "effect"

const unreadable = Metric.counter("nimbus_kafka_unreadable_total", {
  description: "Batches of other producers that could not be read, counted on each read",
  incremental: true,
})

const openTransaction = Metric.gauge("nimbus_kafka_open_transaction_seconds", {
  description: "How long readers have waited for an open transaction of another producer",
})

export const countUnreadable = (topic: string, n: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(unreadable, { topic }), n)

export const setOpenTransaction = (topic: string, partition: number, seconds: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(openTransaction, { topic, partition: String(partition) }), seconds)
