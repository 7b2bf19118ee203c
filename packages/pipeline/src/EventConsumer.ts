/**
 * The event consumer (NimbusGRPC's back-office worker): from events to results, one for each partition.
 *
 * ```
 *   events topic ─ read ─▶ EventItems ─▶ EventOrder ─▶ Handling ─▶ EventOrder ─ batch ─▶ results topic ─▶ commit
 *                             │         (one of a client at a time; messages,          └▶ tasks topic
 *                             │          barriers and tasks pass in their turn)
 *                             └─▶ quarantine topic
 * ```
 *
 * Records are handled as they are read, and published as soon as the order of their client allows, with the offset of
 * their cause as seq. `EventOrder` decides, and this shell carries its decisions out:
 *
 * 1. One produce request is in flight per partition, never two. It has all that was ready, up to a chunk.
 * 2. The commit follows the acknowledged produce, and includes what is finished above it. A crash therefore repeats
 *    only unfinished records. This is harmless: handlers identify an event by its id, and later components by its seq.
 * 3. Of a client with too many waiting records only the offsets are kept. Its records are read again in turn, by a
 *    reader of its own.
 * 4. An event or a message whose id its client has used shortly before is a repeat: no handler runs, and a notice that
 *    names the first one leaves in its place (`Repeats`). What lies before the commit is read back first, as far as the
 *    verdicts need it, in chunks.
 * 5. An event of a task is handed to the task workers. What they and others write of tasks into the events topic counts by
 *    the ledger (`Tasks`), and becomes items of the client and notes to the workers (`TaskItems`).
 * 6. When it is stopped, it starts no more handlers, and publishes what runs and what is ready. The next owner handles
 *    the rest.
 */
import { Clock, type Config, Effect, type Latch, Layer, type Scope } from "effect"
import { registerSize } from "@nimbus/domain/observability"
import { EventOrder, finishedAbove, type Held, recordBytes, type StoredRecord } from "@nimbus/domain/protocol"
import {
  type AssignedPartition,
  type Chunk,
  eventBytes,
  EventLog,
  Handlers,
  RandomIds,
  Topics,
} from "@nimbus/domain/services"
import { eventConsumerConfig, type EventConsumerLimits, eventConsumerLimits } from "./Limits.ts"
import * as Metrics from "./Metrics.ts"
import { quarantine, type Refused } from "./Quarantine.ts"
import { Changed } from "./internal/Changed.ts"
import * as Committer from "./internal/Committer.ts"
import { type EventItem, EventItems } from "./internal/EventItems.ts"
import * as HandledJourney from "./internal/HandledJourney.ts"
import * as HandlerMeter from "./internal/HandlerMeter.ts"
import * as Handling from "./internal/Handling.ts"
import * as Producing from "./internal/Producing.ts"
import { readAgain } from "./internal/ReadAgain.ts"
import { Repeats } from "./internal/Repeats.ts"
import * as TaskMeter from "./internal/TaskMeter.ts"
import { stopTasks } from "./internal/TaskStops.ts"
import { Tasks } from "./internal/Tasks.ts"
import * as Workers from "./internal/Workers.ts"

const role = "event-consumer"

/** The bounds, with what operators choose. */
export const config: Config.Config<EventConsumerLimits> = eventConsumerConfig

/** Handles each partition of the events topic that is ours. */
export const layer: Layer.Layer<never, Config.ConfigError, EventLog | Topics | Handlers> = Layer.effectDiscard(
  Effect.flatMap(config, (limits) => run(limits)),
)

/** The same with other bounds than the defaults. */
export const layerWith = (
  limits: Partial<EventConsumerLimits>,
): Layer.Layer<never, never, EventLog | Topics | Handlers> =>
  Layer.effectDiscard(run({ ...eventConsumerLimits, ...limits }))

const run = Effect.fnUntraced(function* (limits: EventConsumerLimits) {
  const topics = yield* Topics
  yield* Workers.run({
    role,
    topic: topics.events,
    limits,
    worker: (partition, stopping) => handle(partition, stopping, limits),
  })
})

/** A partition while it is ours. */
interface Work {
  readonly assigned: AssignedPartition
  readonly limits: EventConsumerLimits
  readonly order: EventOrder<EventItem>
  readonly items: EventItems
  readonly repeats: Repeats
  readonly tasks: Tasks
  /** The first record that counts for tasks: of the oldest that is open, or the commit. */
  readonly oldest: number
  readonly handling: Handling.Handling
  readonly producing: Producing.Producing
  readonly changed: Changed
  /** A commit would say something new. */
  readonly due: () => void
  /** Something is finished. */
  readonly finished: () => void
  /** Read, and not yet in quarantine. */
  readonly refused: Array<Refused>
  /** Since 1970, as the log's timestamps. */
  readonly now_ms: () => number
}

const handle = Effect.fnUntraced(function* (
  assigned: AssignedPartition,
  stopping: Latch.Latch,
  limits: EventConsumerLimits,
) {
  const work = yield* begin(assigned, limits)
  yield* Effect.raceAllFirst([
    reading(work, stopping),
    quarantining(work),
    readAgain(work),
    stopTasks(work),
    measuring(work),
    work.producing.failed,
  ])
})

const begin = Effect.fnUntraced(function* (
  assigned: AssignedPartition,
  limits: EventConsumerLimits,
): Effect.fn.Return<Work, Effect.Error<AssignedPartition["committed"]>, EventLog | Topics | Handlers | Scope.Scope> {
  const { partition, topic } = assigned
  const log = yield* EventLog
  const clock = yield* Clock.Clock
  const handlers = yield* Handlers
  const { at_once: handlers_at_once, slots } = handlers
  const committed = yield* assigned.committed
  const next = committed?.next ?? (yield* log.earliest(topic, partition))
  const above = committed && finishedAbove(committed, log.incarnation)
  const order = new EventOrder<EventItem>({ ...limits.order, handlers_at_once }, next, above, slots)
  yield* registerSize("event order", {
    get size() {
      return { ...order.size }
    },
  })
  const committer = yield* Committer.make(assigned, limits)
  const now_ms = () => clock.currentTimeMillisUnsafe()
  const repeats = new Repeats(limits.repeats, log.incarnation, (yield* RandomIds).uuid())
  yield* registerSize("repeats", repeats)
  const oldest = above?.oldest ?? next
  const tasks = new Tasks({ limits: limits.tasks, tasks: handlers.tasks, from: oldest })
  yield* registerSize("tasks", tasks)
  const items = new EventItems({
    partition,
    partitions: log.partitions,
    most_bytes: eventBytes(log, yield* Topics),
    journey: yield* HandledJourney.make(role, topic, partition),
    handlers,
    unknown_event_wait_ms: limits.unknown_event_wait_ms,
    repeats,
    tasks,
    meter: yield* TaskMeter.make,
    now_ms,
  })
  const changed = new Changed()
  const commit = () => {
    const beside = { held: heldBy(order.oldest), oldest: tasks.oldest(order.finished.next) }
    return order.finished.committed(log.incarnation, beside)
  }
  const due = () => committer.due(commit)
  const finished = () => {
    due()
    changed.tell()
  }
  const producing = yield* Producing.make({ order, partition, limits, finished })
  const onEnded = () => {
    producing.kick()
    changed.tell()
  }
  const meter = yield* HandlerMeter.make(now_ms)
  const handling = yield* Handling.make({ order, items, meter, onEnded })
  const shared = { assigned, limits, order, items, repeats, tasks, handling, producing, changed }
  return { ...shared, oldest, due, finished, refused: [], now_ms }
})

/** Until it is told to stop, and what it has in hand has left. */
const reading = Effect.fnUntraced(function* (work: Work, stopping: Latch.Latch) {
  const { assigned, changed, handling, items, now_ms, order, producing, refused, repeats, tasks } = work
  const until = changed.waiter()
  const commit = order.finished.next
  // Whether an event has opened a task depends on the ids in the window before it.
  let at = repeats.from(work.oldest)
  if (at >= commit) tasks.live()
  const readBack = yield* readingBack(work, at, commit)

  const take = (record: StoredRecord): void => {
    if (order.finished.has(record.offset)) return items.pass(record)
    const item = items.of(record)
    if (typeof item === "string") {
      order.aside(recordBytes(record))
      return void refused.push({ record, reason: item })
    }
    handling.add(item)
    if (item.repeated !== undefined && order.isSpilled(item)) repeats.spill(item.offset, item.repeated)
    const isPassedOn = item.leaves !== undefined || item.note !== undefined
    if (item.task !== undefined && isPassedOn && order.isSpilled(item)) tasks.spill(item.offset, item.task)
  }
  const onChunk = Effect.fnUntraced(function* (chunk: Chunk) {
    const { next } = order.finished
    if (chunk.from < at) throw new Error(`offset ${chunk.from} comes after ${at}`)
    if (at <= work.oldest && chunk.from > work.oldest && work.oldest < commit) yield* tasksLost(chunk, work.oldest)
    at = chunk.next
    order.read(chunk)
    order.due(now_ms())
    handling.read()
    for (const record of chunk.records) take(record)
    if (at >= commit) tasks.live()
    if (at <= commit) return yield* readBack(at)
    handling.pump()
    producing.kick()
    if (order.finished.next !== next) work.finished()
    changed.tell()
    yield* Metrics.countIn(role, chunk.records.length)
    yield* Effect.raceFirst(
      until(() => order.wantsMore && !repeats.isFull && !tasks.isFull),
      stopping.await,
    )
    return true
  })

  yield* Workers.forEachChunk(assigned.read(at), stopping, onChunk)
  order.stop()
  yield* until(() => order.isIdle && refused.length === 0)
})

/** Tells how far it is, if that takes long; nothing is handled meanwhile. */
const readingBack = Effect.fnUntraced(function* ({ limits }: Work, from: number, commit: number) {
  let told_ms = yield* Clock.currentTimeMillis
  return Effect.fnUntraced(function* (at: number) {
    const now_ms = yield* Clock.currentTimeMillis
    if (now_ms - told_ms < limits.read_back_told_every_ms) return true
    told_ms = now_ms
    yield* Effect.logInfo("reads back what stands before the commit: which ids were used, and which tasks are open", {
      from,
      at,
      commit,
    })
    return true
  })
})

/** Their workers are told that they are over, and their clients see no end. */
const tasksLost = ({ from, partition }: Chunk, oldest: number) =>
  Effect.logError("the log has lost events of open tasks", { partition, oldest, earliest: from })

const quarantining = Effect.fnUntraced(function* ({ assigned, changed, finished, limits, order, refused }: Work) {
  const { partition, topic } = assigned
  const until = changed.waiter()
  for (;;) {
    yield* until(() => refused.length > 0)
    const taken = refused.slice()
    yield* quarantine({ topic, partition }, taken, limits)
    refused.splice(0, taken.length)
    for (const { record } of taken) order.quarantined(record.offset, recordBytes(record))
    finished()
  }
})

const heldBy = (oldest: EventItem | undefined): Held | undefined =>
  oldest?.placed === undefined
    ? undefined
    : { clientId: oldest.key, name: oldest.placed.event.name, since_ms: oldest.started_ms || oldest.timestamp }

/**
 * What is unfinished, and how old that is which holds the commit back; if it is new, the commit says whose it is. Events
 * whose name nobody knows, and which have waited long enough, start here.
 */
const measuring = ({ assigned, changed, due, handling, limits, order, producing, tasks }: Work) => {
  const { partition } = assigned
  let told: EventItem | undefined
  const measure = Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
    if (order.size.early > 0) {
      order.due(now_ms)
      handling.pump()
      producing.kick()
      changed.tell()
    }
    tasks.expire(now_ms)
    if (tasks.hasStops) changed.tell()
    const { oldest } = order
    if (oldest !== told && heldBy(oldest) !== undefined) due()
    told = oldest
    const { records, spilled } = order.size
    const since_ms = oldest?.timestamp ?? now_ms
    return Effect.andThen(
      Metrics.setUnfinished(partition, records + spilled, Math.max(0, now_ms - since_ms) / 1_000),
      Metrics.setTasksOpen(partition, tasks.size.open),
    )
  })
  return measure.pipe(
    Effect.andThen(Effect.sleep(limits.measure_every_ms)),
    Effect.forever,
    // Another owner has it from now on.
    Effect.onExit(() => Effect.andThen(Metrics.setUnfinished(partition, 0, 0), Metrics.setTasksOpen(partition, 0))),
  )
}
