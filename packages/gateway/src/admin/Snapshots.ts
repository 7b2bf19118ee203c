/**
 * What the page draws: a snapshot of the whole system once a second, and the last minutes of it.
 *
 * ```
 *   counters of this process ── every second ──▶ pulse ──▶ history
 *   topics: ends, commits ──── while watched ──▶   │
 *                                                  ▼
 *   registry: census ──── for each who watches ──▶ picture ──▶ as fast as it is taken
 * ```
 *
 * Nothing is looked at beyond this process's own counters while nobody watches. Who watches takes snapshots at its own
 * pace and misses those in between. What is costly to look at, the registry above all, is looked at so seldom that it
 * takes `watch_share` of the time at most (`paced`); a snapshot then has what was seen last.
 */
import {
  type AdminUnavailable,
  NotPossible,
  Operations,
  type Snapshot,
  type Pulse,
  RoleControl,
  type TasksView,
  type TopicView,
} from "@nimbus/domain/admin"
import { Clock, Context, Effect, Layer, Metric, Schedule, Stream } from "effect"
import { Alarms, EventLog } from "@nimbus/domain/services"
import { Delivery } from "../delivery/Delivery.ts"
import { ReadBudget } from "../http/ReadBudget.ts"
import { type AdminLimits, adminLimits } from "../Limits.ts"
import { type Census, type ClientsAsked, makeCensus } from "../operations/Census.ts"
import { backlogOf } from "../operations/ServiceOperations.ts"
import { cachedProbe } from "./CachedProbe.ts"
import { type Bucket, pulseOf, type Reading } from "./Pulse.ts"
import { makeTopicViews } from "../operations/TopicViews.ts"

export class Snapshots extends Context.Service<
  Snapshots,
  {
    /** The last minutes, oldest first. */
    readonly history: Effect.Effect<ReadonlyArray<Pulse>>
    /** A picture a second, with the clients that were asked for; refused while as many watch as may. */
    watch(which: ClientsAsked): Effect.Effect<Stream.Stream<Snapshot>, NotPossible>
  }
>()("@nimbus/gateway/Snapshots") {
  static readonly layerWith = (limits: Partial<AdminLimits>) =>
    Layer.effect(
      Snapshots,
      Effect.suspend(() => make({ ...adminLimits, ...limits })),
    )
  static readonly layer = Snapshots.layerWith({})
}

const nobody: Census = {
  clients: { OFFLINE: 0, REPLAYING: 0, LIVE: 0 },
  clientsMore: false,
  pods: [],
  rows: [],
  rowsMore: false,
}

const noTasks: TasksView = { tasks: [], running: 0, waiting: 0, more: false, unread: 0 }

const make = Effect.fnUntraced(function* (limits: AdminLimits) {
  const operations = yield* Operations
  const log = yield* EventLog
  const alarms = yield* Alarms
  const { pod } = yield* Delivery
  const { list: roles } = yield* RoleControl
  const census = yield* makeCensus(limits)
  const { read: inTurn } = yield* ReadBudget
  const takeCensus = (which: ClientsAsked) => inTurn(census(which, limits.picture_rows))
  const probeLimits = { interval_ms: limits.picture_ms, share: limits.watch_share }
  const lookAtTopics: Effect.Effect<ReadonlyArray<TopicView>, AdminUnavailable> = yield* makeTopicViews
  const topics = cachedProbe(lookAtTopics, [], probeLimits)
  const tasks = cachedProbe(inTurn(operations.tasks({ query: { limit: limits.picture_tasks } })), noTasks, probeLimits)
  const history: Array<Pulse> = []
  let watching = 0
  let before = yield* readCounters

  const read = Effect.gen(function* () {
    const counters = yield* readCounters
    if (watching === 0) return counters
    const { isStale, value } = yield* topics
    return isStale ? counters : { ...counters, ends: endsOf(value) }
  })
  yield* read.pipe(
    Effect.map((reading) => {
      history.push(pulseOf(before, reading))
      before = reading
      if (history.length > limits.pulses) history.shift()
    }),
    Effect.repeat(Schedule.spaced(limits.picture_ms)),
    Effect.forkScoped,
  )

  const draw = Effect.fnUntraced(function* (census: ReturnType<typeof cachedProbe<Census, unknown, never>>) {
    const warnings = yield* alarms.warnings
    const [clients, views, open] = yield* Effect.all([census, topics, tasks], { concurrency: 3 })
    return {
      pod,
      incarnation: log.incarnation,
      partitions: log.partitions,
      ...clients.value,
      ...backlogOf(views.value),
      pulse: history.at(-1) ?? pulseOf(before, before),
      topics: views.value,
      roles: yield* roles,
      tasks: open.value,
      stale: [
        ...(clients.isStale ? ["clients"] : []),
        ...(views.isStale ? ["topics"] : []),
        ...(open.isStale ? ["tasks"] : []),
      ],
      ...(warnings.length > 0 && { warnings }),
    } satisfies Snapshot
  })

  const counted = Effect.acquireRelease(
    Effect.sync(() => void watching++),
    () => Effect.sync(() => void watching--),
  )
  return Snapshots.of({
    history: Effect.sync(() => [...history]),
    watch: (which) =>
      Effect.gen(function* () {
        if (watching >= limits.watchers) return yield* new NotPossible({ message: `${watching} are watching already` })
        const snapshot = draw(cachedProbe(takeCensus(which), nobody, probeLimits))
        const snapshots = Stream.mapEffect(Stream.fromSchedule(Schedule.spaced(limits.picture_ms)), () => snapshot)
        return Stream.unwrap(Effect.as(counted, Stream.concat(Stream.fromEffect(snapshot), snapshots)))
      }),
  })
})

/** What this process counts, under whatever labels. */
const readCounters: Effect.Effect<Reading> = Effect.gen(function* () {
  const at = yield* Clock.currentTimeMillis
  const reading = { at, accepted: 0, delivered: 0, replayed: 0, latency: new Array<Bucket>(), ends: undefined }
  for (const { id, state, type } of yield* Metric.snapshot) {
    if (type === "Counter" && id === "nimbus_gateway_events_accepted_total") reading.accepted += Number(state.count)
    if (type === "Counter" && id === "nimbus_gateway_results_delivered_total") reading.delivered += Number(state.count)
    if (type === "Counter" && id === "nimbus_gateway_results_replayed_total") reading.replayed += Number(state.count)
    if (type === "Histogram" && id === "nimbus_gateway_result_latency_seconds") reading.latency.push(...state.buckets)
  }
  return reading
})

const endsOf = (topics: Snapshot["topics"]) => {
  const of = (kind: Snapshot["topics"][number]["kind"]) =>
    topics.find((topic) => topic.kind === kind)?.partitions.reduce((sum, { end }) => sum + end, 0) ?? 0
  return { events: of("events"), results: of("results"), dlq: of("dlq") }
}
