/** Clients that were forgotten after `NIMBUS_IDLE_DAYS`, as far as a store knows how many. docs/metrics.md has it. */
import { type Effect, Metric } from "effect"

const forgotten = Metric.counter("nimbus_forgotten_clients_total", {
  description: "Clients that did not return for NIMBUS_IDLE_DAYS and were forgotten",
  incremental: true,
})

/** Counts clients that a store has forgotten because nothing happened to them. */
export const countForgotten = (store: "mailboxes" | "registry", n: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(forgotten, { store }), n)
