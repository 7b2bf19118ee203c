/**
 * The status manager: it counts the clients by status, and measures the lag of each topic's consumer.
 *
 * It only reads. A client counts as OFFLINE when the lease of its pod has expired, whatever its entry says. A value that
 * can't be read stays as it was, and the failure is counted.
 */
import { Clock, Context, Effect, Layer, Ref, Stream } from "effect"
import { Status } from "@nimbus/domain/protocol"
import { EventLog, makeStandings, Registry, type Role, failureReporter } from "@nimbus/domain/services"
import { type StatusManagerLimits, statusManagerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"

/** The topics that the pipeline consumes for clients. */
type LagTopic = "events" | "results" | "dlq" | "tasks"

/** The system at its last count. */
export interface StatusSnapshot {
  /** When each part was last read, in ms since 1970; `undefined`: not yet. */
  readonly clients_at_ms: number | undefined
  readonly lag_at_ms: number | undefined
  readonly clients: Readonly<Record<Status.StatusName, number>>
  /** Records that the topic's consumer has not committed, over all partitions. */
  readonly lag: Readonly<Record<LagTopic, number>>
}

/** Counts clients by status and measures lag, every `refresh_every_ms`. */
export class StatusManager extends Context.Service<
  StatusManager,
  {
    /** As of the last refresh, at most `refresh_every_ms` ago while everything answers. */
    readonly snapshot: Effect.Effect<StatusSnapshot>
  }
>()("@nimbus/pipeline/StatusManager") {
  static readonly layer = Layer.effect(
    StatusManager,
    Effect.suspend(() => make(statusManagerLimits)),
  )
  static readonly layerWith = (limits: Partial<StatusManagerLimits>) =>
    Layer.effect(StatusManager, make({ ...statusManagerLimits, ...limits }))
}

const make = Effect.fnUntraced(function* (limits: StatusManagerLimits) {
  const snapshot = yield* Ref.make<StatusSnapshot>({
    clients_at_ms: undefined,
    lag_at_ms: undefined,
    clients: { OFFLINE: 0, REPLAYING: 0, LIVE: 0 },
    lag: { events: 0, results: 0, dlq: 0, tasks: 0 },
  })
  const keep = Effect.fnUntraced(function* <A, E, R>(
    operation: string,
    read: Effect.Effect<A, E, R>,
    set: (last: StatusSnapshot, value: A, now_ms: number) => StatusSnapshot,
  ) {
    const outage = yield* failureReporter(operation)
    return read.pipe(
      Effect.flatMap((value) =>
        Effect.flatMap(Clock.currentTimeMillis, (now_ms) => Ref.update(snapshot, (last) => set(last, value, now_ms))),
      ),
      Effect.andThen(outage.worked),
      Effect.catch((error) => Effect.andThen(Metrics.countFailure(operation, 1), outage.failed(error))),
    )
  })
  const refresh = Effect.andThen(
    yield* keep("count clients", countClients, (last, clients, now_ms) => ({
      ...last,
      clients,
      clients_at_ms: now_ms,
    })),
    yield* keep("measure lag", yield* makeMeasureLag, (last, lag, now_ms) => ({ ...last, lag, lag_at_ms: now_ms })),
  )
  yield* refresh.pipe(
    Effect.andThen(Effect.sleep(limits.refresh_every_ms)),
    Effect.forever,
    Effect.annotateLogs({ service: "status-manager" }),
    Effect.forkScoped({ startImmediately: true }),
  )
  return StatusManager.of({ snapshot: Ref.get(snapshot) })
})

const countClients = Effect.gen(function* () {
  const registry = yield* Registry
  const livePods = new Set(yield* registry.livePods)
  const clients = { OFFLINE: 0, REPLAYING: 0, LIVE: 0 }
  yield* Stream.runForEachArray(registry.entries, (entries) =>
    Effect.sync(() => {
      for (const { status } of entries) clients[Status.seenWith(status, livePods)]++
    }),
  )
  for (const name of ["OFFLINE", "REPLAYING", "LIVE"] as const) yield* Metrics.setClients(name, clients[name])
  return clients
})

/** By topic, over all partitions. */
const makeMeasureLag = Effect.gen(function* () {
  const { partitions } = yield* EventLog
  const standingOf = yield* makeStandings
  const all = Array.from({ length: partitions }, (_, partition) => partition)
  const lagOf = (role: Role) =>
    Effect.map(
      Effect.forEach(all, (partition) => standingOf(role, partition), { concurrency: 8 }),
      (standings) => standings.reduce((sum, { lag }) => sum + lag, 0),
    )
  return Effect.gen(function* () {
    const lag = {
      events: yield* lagOf("event-consumer"),
      results: yield* lagOf("result-consumer"),
      dlq: yield* lagOf("replay-consumer"),
      tasks: yield* lagOf("task-worker"),
    }
    for (const name of ["events", "results", "dlq", "tasks"] as const) yield* Metrics.setLag(name, lag[name])
    return lag
  })
})
