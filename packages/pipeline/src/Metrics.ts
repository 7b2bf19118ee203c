/**
 * What the pipeline counts, under the names that Prometheus knows it by. Updated once per chunk or tick, never per
 * record, but for the two times of each event (`ofHandler`).
 */
import { Context, Effect, Metric } from "effect"
import type { Router, Status, TaskLedger } from "@nimbus/domain/protocol"
import { secondsBoundaries } from "@nimbus/domain/observability"
import type { Role } from "@nimbus/domain/services"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const recordsIn = counter("nimbus_pipeline_records_in_total", "Records that were read, by consumer")
const recordsOut = counter("nimbus_pipeline_records_out_total", "Records that were passed on, by destination")
const failures = counter("nimbus_pipeline_failures_total", "Calls to the log, a store or a channel that failed")
const restarts = counter("nimbus_pipeline_restarts_total", "Partitions whose worker was restarted after a failure")
const diverted = counter("nimbus_router_diverted_total", "Clients that were diverted to their mailboxes, by reason")
const handlerFailures = counter("nimbus_handler_failures_total", "Events whose result is an error")
const handlersRunning = Metric.gauge("nimbus_handlers_running", { description: "Handlers that are waited for now" })
const taskAttempts = counter("nimbus_task_attempts_total", "Attempts of tasks that have begun")
const taskParts = counter("nimbus_task_parts_total", "Parts of tasks that the events topic has")
const taskEnds = counter("nimbus_task_runs_ended_total", "Attempts of tasks that a worker is done with, by outcome")
const taskSeconds = Metric.histogram("nimbus_task_seconds", {
  description: "Time that an attempt of a task took",
  boundaries: secondsBoundaries,
})
const tasksRunning = Metric.gauge("nimbus_tasks_running", { description: "Tasks that run now" })
const tasksWaiting = Metric.gauge("nimbus_tasks_waiting", { description: "Tasks that wait for a slot" })
const clients = Metric.gauge("nimbus_clients", { description: "Clients by status, from the registry" })
const lag = Metric.gauge("nimbus_lag_records", {
  description: "Records that the consumer of a topic has not finished, by topic",
})

const unfinished = Metric.gauge("nimbus_events_unfinished", {
  description:
    "Events that were read and are not finished: they wait for their turn, are being handled, or are on their way to the results topic",
})
const oldest = Metric.gauge("nimbus_events_oldest_seconds", {
  description: "The age of the event for which the commit waits, by the time of the log",
})

const archiveLag = Metric.gauge("nimbus_archive_lag_records", {
  description: "Records that are not in the archive yet",
})

/** Results recognised by their seq and dropped. */
export const repeats = counter("nimbus_router_repeats_total", "Repeated records that were detected and dropped")
export const quarantined = counter("nimbus_pipeline_quarantined_total", "Records that could not be decoded")
/**
 * Where the backlog no longer held what the mailboxes had not got. Each is told to the partition's clients as `lost`.
 */
export const holes = counter(
  "nimbus_mailbox_holes_total",
  "How often the backlog had lost records before they were put",
)
export const rewinds = counter(
  "nimbus_mailbox_rewinds_total",
  "How often the mailbox store had another offset than expected",
)
export const expired = counter("nimbus_mailbox_expired_total", "Records that were removed from mailboxes by age")
const opened = counter("nimbus_tasks_opened_total", "Events that opened a task")
const ended = counter("nimbus_tasks_ended_total", "Tasks that ended")
const ignored = counter("nimbus_task_records_ignored_total", "Records of tasks that count for nothing")
const open = Metric.gauge("nimbus_tasks_open", { description: "Tasks that have not ended" })

/** Each has a notice in the results topic that names the first one. */
export const repeatedIds = counter(
  "nimbus_events_repeated_total",
  "Events and messages whose id was used shortly before",
)
/** What only its offset was kept of, and the log no longer held when its turn came. */
export const eventHoles = counter("nimbus_events_lost_total", "Events that retention removed before they were handled")
/** Where the log no longer held what the archive had not got. */
export const archiveHoles = counter(
  "nimbus_archive_holes_total",
  "How often the log had lost records before they were archived",
)
export const lateStepsDropped = counter(
  "nimbus_pipeline_journey_steps_dropped_total",
  "Journey steps that were dropped at their bound",
)

/** Where a record goes. */
export type Destination = "events" | "results" | "tasks" | "pod" | "dlq" | "mailbox" | "mail" | "journey" | "archive"

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
export const setLag = (topic: "events" | "results" | "dlq" | "tasks", n: number) =>
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

/** How a task ended: by its handler or a cancel, or by a bound of its own. */
export type TaskEnd = "done" | "failed" | "cancelled" | "expired" | "full" | "attempts"

export type TaskCounter = Metric.Metric<number, Metric.CounterState<number>>

/** `task`: the name of a declared one. */
export const tasksOpened = (task: string): TaskCounter => Metric.withAttributes(opened, { task })
export const tasksEnded = (task: string, outcome: TaskEnd): TaskCounter =>
  Metric.withAttributes(ended, { task, outcome })
export const taskRecordsIgnored = (reason: TaskLedger.Ignored): TaskCounter =>
  Metric.withAttributes(ignored, { reason })
export const setTasksOpen = (partition: number, n: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(open, { partition: String(partition) }), n)

/** `handler`: the name of a declared one, or `unknown`; `code`: one of the few that `Handlers` gives. */
export const countHandlerFailure = (handler: string, code: string, n: number): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(handlerFailures, { handler, code }), n)

/** What is measured of a handler, for callbacks. The two times, in seconds, are taken of each event. */
export const ofHandler = (handler: string, context: Context.Context<never>) => ({
  duration: handlerTime("nimbus_handler_seconds", "Time that a handler took, with its retries", handler, context),
  wait: handlerTime(
    "nimbus_handler_wait_seconds",
    "Time from when the log had an event until its handler began",
    handler,
    context,
  ),
  running: Metric.withAttributes(handlersRunning, { handler }),
})

/** Updates a series without looking for it again: to find it costs more than to update it. */
const handlerTime = (id: string, description: string, handler: string, context: Context.Context<never>) => {
  const metric = Metric.histogram(id, { description, boundaries: secondsBoundaries, attributes: { handler } })
  metric.valueUnsafe(context)
  for (const series of Context.get(context, Metric.MetricRegistry).values()) {
    if (series.id !== id || series.attributes?.["handler"] !== handler) continue
    return (seconds: number): void => series.hooks.update(seconds, context)
  }
  return (seconds: number): void => metric.updateUnsafe(seconds, context)
}

export type OfHandler = ReturnType<typeof ofHandler>

/** What is measured of a task, for callbacks. */
export const ofTask = (task: string) => ({
  attempts: Metric.withAttributes(taskAttempts, { task }),
  parts: Metric.withAttributes(taskParts, { task }),
  seconds: Metric.withAttributes(taskSeconds, { task }),
  running: Metric.withAttributes(tasksRunning, { task }),
  ended: {
    done: Metric.withAttributes(taskEnds, { task, outcome: "done" }),
    failed: Metric.withAttributes(taskEnds, { task, outcome: "failed" }),
    retried: Metric.withAttributes(taskEnds, { task, outcome: "retried" }),
    interrupted: Metric.withAttributes(taskEnds, { task, outcome: "interrupted" }),
  },
})

export type OfTask = ReturnType<typeof ofTask>

export const setTasksWaiting = (task: string, partition: number, n: number) =>
  Metric.update(Metric.withAttributes(tasksWaiting, { task, partition: String(partition) }), n)
