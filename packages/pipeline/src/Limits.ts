/**
 * Every bound of the pipeline: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | chunk | a produce request is split |
 * | event consumer: repeats | an id is a new one, or nothing more is read: `RepeatLimits` |
 * | event consumer: tasks | a task ends, or nothing more is read: `TaskLimits` |
 * | event consumer: order | nothing more is read, or only the offsets of one client are kept: `EventOrderLimits` |
 * | event consumer: unknown event wait | the event is answered `UNKNOWN_EVENT` |
 * | result consumer: spill | the results topic is not read until the backlog has stored some |
 * | result consumer: outstanding | the same, until the oldest record that is not done is in the backlog or acknowledged |
 * | result consumer: unhurried | each chunk waits briefly for acks |
 * | result consumer: ack time-out | the client is diverted to its mailbox |
 * | replay consumer: rebuild | a wiped store is filled no faster, so that live traffic continues |
 * | storage writer: gather | after a small chunk nothing is read for a moment, so that the next one is larger |
 * | task worker: at once | further tasks wait, and only their places are kept: `TaskQueueLimits` |
 * | task worker: task buffer, buffer | the stream of the task is pulled no further until the log has some of its parts |
 * | task worker: ahead | nothing more of tasks is written until the event consumer has committed some |
 * | task worker: kept | the event of a task that waits is read again when it begins |
 * | task worker: readers | a handler waits before it reads what earlier attempts have published |
 * | late steps | journey steps are dropped and counted; their records are not affected |
 * | stuck restarts | an alarm, until the commit of the partition advances |
 * | shutdown | unfinished work is abandoned: the next owner of the partition repeats it |
 */
import { Config, Duration, Schema } from "effect"
import {
  type ChunkLimits,
  chunkLimits,
  type EventOrderLimits,
  eventOrderLimits,
  type RepeatLimits,
  repeatLimits,
  type RouterLimits,
  routerLimits,
  type TaskLimits,
  taskLimits,
  type TaskQueueLimits,
  taskQueueLimits,
} from "@nimbus/domain/limits"
import { Dedupe } from "@nimbus/domain/services"

/** How a consumer retries, commits and shuts down. */
export interface ConsumerLimits {
  /** The first wait before a retry. It doubles up to the maximum. */
  readonly backoff_min_ms: number
  readonly backoff_max_ms: number
  /**
   * How often in a row the consumer of a partition may fail while its commit does not advance. Beyond: it is still
   * restarted, and there is an alarm (`CONSUMER_STUCK`) until the commit advances.
   */
  readonly stuck_restarts: number
  /** The time between two attempts to write what the log refuses until an operator corrects something. */
  readonly refused_every_ms: number
  /** The least time between two commits of one partition. The latest commit wins. */
  readonly commit_every_ms: number
  /** How long the last commit may take when the consumer gives up a partition. */
  readonly commit_timeout_ms: number
  /** How long a consumer that shuts down may continue with what it has started. */
  readonly shutdown_timeout_ms: number
}

const consumerLimits: ConsumerLimits = {
  backoff_min_ms: 50,
  backoff_max_ms: 5_000,
  stuck_restarts: 8,
  refused_every_ms: 15_000,
  commit_every_ms: 100,
  commit_timeout_ms: 2_000,
  shutdown_timeout_ms: 10_000,
}

export interface EventConsumerLimits extends ConsumerLimits {
  /** The largest produce request to the results topic. */
  readonly chunk: ChunkLimits
  /** Records of a partition, and of one client, that are read and not finished. `handlers_at_once` is in `HandlerLimits`. */
  readonly order: Omit<EventOrderLimits, "handlers_at_once">
  /**
   * How long an event whose name no handler has waits for a process that has one, from when the log has it. Beyond: the
   * result is `UNKNOWN_EVENT`, at most `measure_every_ms` later.
   */
  readonly unknown_event_wait_ms: number
  /** The same id twice. */
  readonly repeats: RepeatLimits
  /** Tasks. */
  readonly tasks: TaskLimits
  /** How often unfinished events are measured. */
  readonly measure_every_ms: number
  /** How often it is logged how far the ids before the commit were read back, if that takes longer. */
  readonly read_back_told_every_ms: number
}

/** The defaults. */
export const eventConsumerLimits: EventConsumerLimits = {
  ...consumerLimits,
  chunk: chunkLimits,
  order: eventOrderLimits,
  unknown_event_wait_ms: 0,
  repeats: repeatLimits,
  tasks: taskLimits,
  measure_every_ms: 1_000,
  read_back_told_every_ms: 5_000,
}

/** A rollout takes no longer. */
const unknownWait = Schema.DurationFromString.check(
  Schema.makeFilter(
    (wait) =>
      Duration.between(wait, { minimum: Duration.zero, maximum: Duration.hours(1) }) ||
      "Expected a duration between 0 and 1 hour",
  ),
)

/** A task must end before the topics forget its event. */
const taskTtl = Schema.DurationFromString.check(
  Schema.makeFilter(
    (ttl) =>
      Duration.between(ttl, { minimum: Duration.seconds(1), maximum: Duration.days(6) }) ||
      "Expected a duration between 1 second and 6 days",
  ),
)

/** The defaults, with what operators choose: `NIMBUS_UNKNOWN_EVENT_WAIT`, `NIMBUS_TASK_TTL` and `NIMBUS_DEDUPE_RECORDS`. */
export const eventConsumerConfig: Config.Config<EventConsumerLimits> = Config.all({
  ttl: Config.schema(taskTtl, "NIMBUS_TASK_TTL").pipe(Config.withDefault(Duration.millis(taskLimits.task_ttl_ms))),
  wait: Config.schema(unknownWait, "NIMBUS_UNKNOWN_EVENT_WAIT").pipe(
    Config.withDefault(Duration.millis(eventConsumerLimits.unknown_event_wait_ms)),
  ),
  dedupe_records: Dedupe.config,
}).pipe(
  Config.map(({ dedupe_records, ttl, wait }) =>
    Object.assign({}, eventConsumerLimits, {
      unknown_event_wait_ms: Math.round(Duration.toMillis(wait)),
      repeats: { ...eventConsumerLimits.repeats, dedupe_records },
      tasks: { ...eventConsumerLimits.tasks, task_ttl_ms: Math.round(Duration.toMillis(ttl)) },
    }),
  ),
)

export interface ResultConsumerLimits extends ConsumerLimits {
  /** The largest produce request to the backlog topic. */
  readonly chunk: ChunkLimits
  readonly router: RouterLimits
  /** The length of a tick. A push may stay unacknowledged for `router.ack_timeout_ticks` ticks. */
  readonly tick_ms: number
  /** Records of a partition that wait for the backlog. Beyond: nothing more is read. */
  readonly shelf_records: number
  /**
   * Results of a partition in flight to clients. Beyond: the next chunk waits for acks, for at most `acks_wait_ms`. This
   * protects gateways from too many pushes, and clients that do not acknowledge delay no others. Acks that are held back
   * (`AutoAck`) arrive seconds later, so the bound is above what is in flight in that time.
   */
  readonly unhurried_results: number
  readonly acks_wait_ms: number
  /** Pods to which a partition publishes concurrently. */
  readonly pods_at_once: number
  /**
   * Records of a partition that were read since the first one that is not done. The next owner repeats at most this many,
   * and this many are counted in memory. Beyond: nothing more is read.
   */
  readonly outstanding_records: number
  /** Journey steps of all partitions that wait for the journey topic. Beyond: dropped. */
  readonly late_steps: number
}

/** The defaults. */
export const resultConsumerLimits: ResultConsumerLimits = {
  ...consumerLimits,
  chunk: chunkLimits,
  router: routerLimits,
  tick_ms: 250,
  shelf_records: 65_536,
  outstanding_records: 1_048_576,
  unhurried_results: 131_072,
  acks_wait_ms: 10,
  pods_at_once: 16,
  late_steps: 10_000,
}

export interface ReplayConsumerLimits extends ConsumerLimits {
  /** How fast records are put again into a store that has lost them, per partition. */
  readonly rebuild_records_per_second: number
  /** How often the offset in the store is compared while no records arrive. A rollback is detected within this time. */
  readonly look_every_ms: number
  /** How often the age limit of mailboxes is enforced. */
  readonly expire_every_ms: number
  /** Pods to which a partition sends hints concurrently. */
  readonly pods_at_once: number
}

/** The defaults. */
export const replayConsumerLimits: ReplayConsumerLimits = {
  ...consumerLimits,
  rebuild_records_per_second: 50_000,
  look_every_ms: 5_000,
  expire_every_ms: 60_000,
  pods_at_once: 16,
}

export interface TaskWorkerLimits extends ConsumerLimits {
  /** The largest produce request to the events topic. */
  readonly chunk: ChunkLimits
  readonly queue: TaskQueueLimits
  /** The length of a tick of the queue. */
  readonly tick_ms: number
  /** Parts of one task that the log has not acknowledged. Beyond: its stream is not pulled. */
  readonly task_buffer_parts: number
  /** The same in bytes. One part is always allowed. */
  readonly task_buffer_bytes: number
  /** The same of all tasks of a partition. Each may always have one part. */
  readonly buffer_bytes: number
  /**
   * Records of a partition that the event consumer has not committed. Beyond: nothing more of tasks is written until it has,
   * so that a task that floods does not hold up the events of others.
   */
  readonly ahead_records: number
  /** How often it is looked up whether it has. */
  readonly ahead_look_ms: number
  /** The least time between two looks for parts that have waited long enough to be joined. */
  readonly join_look_ms: number
  /** Events of the waiting tasks of a partition in memory. Beyond: they are read again. */
  readonly kept_bytes: number
  /** Tasks of a process that read from the log at once, what they have to do or what they have published. */
  readonly readers_at_once: number
  /** How long a task whose begin is in the log may wait for the event consumer's answer before there is an alarm. */
  readonly begun_wait_ms: number
  /**
   * How long tasks go on that run when their partition is revoked: if it comes back, as most do when a group has another
   * member, nothing has happened to them. Beyond: they are interrupted. Another worker may have begun them meanwhile.
   */
  readonly revoked_wait_ms: number
  /** The message of an end that is a failure. Beyond: it is truncated. */
  readonly failure_message_chars: number
  /** How often it is looked for clients that are away, where tasks say so (`abandon_after`). */
  readonly abandon_look_ms: number
  /** How often waiting tasks are measured. */
  readonly measure_every_ms: number
}

/** The defaults. */
export const taskWorkerLimits: TaskWorkerLimits = {
  ...consumerLimits,
  chunk: chunkLimits,
  queue: taskQueueLimits,
  tick_ms: 100,
  task_buffer_parts: 64,
  task_buffer_bytes: 256 * 1024,
  buffer_bytes: 16 * 1024 * 1024,
  ahead_records: 4_096,
  ahead_look_ms: 50,
  join_look_ms: 2,
  kept_bytes: 8 * 1024 * 1024,
  readers_at_once: 16,
  begun_wait_ms: 30_000,
  revoked_wait_ms: 10_000,
  failure_message_chars: 1_024,
  abandon_look_ms: 5_000,
  measure_every_ms: 1_000,
}

const count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))

/** The defaults, with what operators choose: `NIMBUS_TASKS_AT_ONCE` and `NIMBUS_TASKS_PER_CLIENT`. */
export const taskWorkerConfig: Config.Config<TaskWorkerLimits> = Config.all({
  at_once: Config.schema(count, "NIMBUS_TASKS_AT_ONCE").pipe(Config.withDefault(taskQueueLimits.at_once)),
  client_at_once: Config.schema(count, "NIMBUS_TASKS_PER_CLIENT").pipe(
    Config.withDefault(taskQueueLimits.client_at_once),
  ),
}).pipe(Config.map((chosen) => Object.assign({}, taskWorkerLimits, { queue: { ...taskQueueLimits, ...chosen } })))

export interface StorageWriterLimits extends ConsumerLimits {
  /** A chunk with fewer records than this is small. */
  readonly gather_records: number
  /** How long nothing is read after a small chunk, so that batches are fewer and larger. */
  readonly gather_ms: number
  /** How often the lag of each partition is measured. */
  readonly lag_every_ms: number
  /** Whether the archive is opened only when there is a record that it does not have. */
  readonly lazy: boolean
}

/** The defaults. */
export const storageWriterLimits: StorageWriterLimits = {
  ...consumerLimits,
  gather_records: 1_024,
  gather_ms: 20,
  lag_every_ms: 10_000,
  lazy: false,
}

/** The bounds of the status manager. */
export interface StatusManagerLimits {
  /** How often clients are counted and lag is measured. */
  readonly refresh_every_ms: number
}

/** The defaults. */
export const statusManagerLimits: StatusManagerLimits = { refresh_every_ms: 10_000 }
