/**
 * What the pipeline counts, under the names that Prometheus knows it by. Updated once per chunk or tick, never per
 * record.
 */
import { Effect, Metric } from "effect"
import type { Router, Status } from "@nimbus/domain/protocol"
import type { Role } from "@nimbus/domain/services"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const recordsIn = counter("nimbus_pipeline_records_in_total", "Records read")
const recordsOut = counter("nimbus_pipeline_records_out_total", "Records passed on, by where they went")
const failures = counter("nimbus_pipeline_failures_total", "Calls to the log, a store or a channel that failed")
const restarts = counter("nimbus_pipeline_restarts_total", "Partitions that were started again after a failure")
const diverted = counter("nimbus_router_diverted_total", "Clients diverted to their mailboxes")
const handlerFailures = counter("nimbus_handler_failures_total", "Events answered with an error")
const clients = Metric.gauge("nimbus_clients", { description: "Clients by status" })
const lag = Metric.gauge("nimbus_lag_records", { description: "Records that the topic's consumer is not done with" })

const unfinished = Metric.gauge("nimbus_events_unfinished", {
  description:
    "Events read and not finished: waiting for their turn, being handled, or on their way to the results topic",
})
const oldest = Metric.gauge("nimbus_events_oldest_seconds", {
  description: "Age of the event that holds the commit back; 0 if there is none",
})

const archiveLag = Metric.gauge("nimbus_archive_lag_records", { description: "Records not yet in the archive" })

/** Results recognised by their seq and dropped. */
export const repeats = counter("nimbus_router_repeats_total", "Repeated records dropped by routers")
export const quarantined = counter("nimbus_pipeline_quarantined_total", "Records that could not be decoded")
/**
 * Where the backlog no longer held what the mailboxes had not got. Each is told to the partition's clients as `lost`.
 */
export const holes = counter("nimbus_mailbox_holes_total", "Times the backlog had lost records before they were put")
export const rewinds = counter(
  "nimbus_mailbox_rewinds_total",
  "Times the mailbox store had another offset than expected",
)
export const expired = counter("nimbus_mailbox_expired_total", "Records removed from mailboxes by age")
/** What only its offset was kept of, and the log no longer held when its turn came. */
export const eventHoles = counter("nimbus_events_lost_total", "Events that retention removed before they were handled")
/** Where the log no longer held what the archive had not got. */
export const archiveHoles = counter(
  "nimbus_archive_holes_total",
  "Times the log had lost records before they were archived",
)
export const lateStepsDropped = counter(
  "nimbus_pipeline_journey_steps_dropped_total",
  "Journey steps dropped at their bound",
)

/** Where a record goes. */
export type Destination = "results" | "pod" | "dlq" | "mailbox" | "mail" | "journey" | "archive"

const series = <K extends string>(metric: Metric.Counter<number>, labelOf: (key: K) => Metric.Metric.Attributes) => {
  const known = new Map<K, Metric.Metric<number, Metric.CounterState<number>>>()
  return (key: K, n: number): Effect.Effect<void> => {
    if (n === 0) return Effect.void
    let one = known.get(key)
    if (one === undefined) known.set(key, (one = Metric.withAttributes(metric, labelOf(key))))
    return Metric.update(one, n)
  }
}

export const countIn = series<Role>(recordsIn, (role) => ({ role }))
export const countOut = series<Destination>(recordsOut, (to) => ({ to }))
/** `operation`: one of the few that this package names. */
export const countFailure = series<string>(failures, (operation) => ({ operation }))
export const countRestart = series<Role>(restarts, (role) => ({ role }))
export const countDiverted = series<Router.DivertReason>(diverted, (reason) => ({ reason }))
export const setClients = (status: Status.StatusName, n: number) =>
  Metric.update(Metric.withAttributes(clients, { status }), n)
export const setLag = (topic: "events" | "results" | "dlq", n: number) =>
  Metric.update(Metric.withAttributes(lag, { topic }), n)

export const setUnfinished = (partition: number, n: number, oldest_seconds: number) => {
  const where = { partition: String(partition) }
  return Effect.andThen(
    Metric.update(Metric.withAttributes(unfinished, where), n),
    Metric.update(Metric.withAttributes(oldest, where), oldest_seconds),
  )
}

export const setArchiveLag = (topic: string, partition: number, n: number) =>
  Metric.update(Metric.withAttributes(archiveLag, { topic, partition: String(partition) }), n)

/** `code`: one of the few that `Handlers` gives. */
export const countHandlerFailure = series<string>(handlerFailures, (code) => ({ code }))
