/**
 * Every bound of the pipeline: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | chunk | a produce request is split |
 * | event consumer: order | nothing more is read, or only the offsets of one client are kept: `EventOrderLimits` |
 * | result consumer: spill | the results topic is not read on until the backlog has taken some |
 * | result consumer: outstanding | the same, until the oldest record that is not done is in the backlog or acknowledged |
 * | result consumer: unhurried | each chunk waits a little for acks |
 * | result consumer: ack timeout | the client is diverted to its mailbox |
 * | replay consumer: rebuild | a wiped store is filled no faster, so that live traffic goes on beside it |
 * | storage writer: gather | a small chunk waits a little, so that the next one is larger |
 * | late steps | journey steps are dropped and counted; the records they tell of are not affected |
 * | stuck restarts | an alarm, until the partition's commit moves on |
 * | shutdown | what is in hand is left: the next owner of the partition does it again |
 */
import {
  type ChunkLimits,
  chunkLimits,
  type EventOrderLimits,
  eventOrderLimits,
  type RouterLimits,
  routerLimits,
} from "@nimbus/domain/limits"

/** How a consumer fails, commits and leaves. */
export interface ConsumerLimits {
  /** The first wait before something that failed is tried again; doubles each time up to the maximum. */
  readonly backoff_min_ms: number
  readonly backoff_max_ms: number
  /**
   * How often in a row a partition's consumer may fail without a commit further on. From then on it is an alarm
   * (`CONSUMER_STUCK`) until there is one; it is started again all the same.
   */
  readonly stuck_restarts: number
  /** Between two attempts to write what the log refuses until an operator puts something right. */
  readonly refused_every_ms: number
  /** The least time between two commits of one partition. The latest commit wins. */
  readonly commit_every_ms: number
  /** How long the last commit may take when a partition is left. */
  readonly commit_timeout_ms: number
  /** How long a consumer that is stopping may continue with what it has started. */
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
  /** The most that one produce request to the results topic carries. */
  readonly chunk: ChunkLimits
  /** What of a partition, and of one client, is read and not finished; `handlers_at_once` is the handlers' own. */
  readonly order: Omit<EventOrderLimits, "handlers_at_once">
  /** How often what is unfinished is measured. */
  readonly measure_every_ms: number
}

/** The defaults. */
export const eventConsumerLimits: EventConsumerLimits = {
  ...consumerLimits,
  chunk: chunkLimits,
  order: eventOrderLimits,
  measure_every_ms: 1_000,
}

export interface ResultConsumerLimits extends ConsumerLimits {
  /** The most that one produce request to the backlog topic carries. */
  readonly chunk: ChunkLimits
  readonly router: RouterLimits
  /** The time that a push may stay unacknowledged is `router.ack_timeout_ticks` of these. */
  readonly tick_ms: number
  /** Records of a partition that wait for the backlog. Beyond: nothing more is read. */
  readonly shelf_records: number
  /**
   * Results of a partition in flight to clients. Beyond: the next chunk waits for acks, but no longer than
   * `acks_wait_ms`, so that gateways are not flooded and clients that don't acknowledge hold nobody up. Acks that are
   * held back (`AutoAck`) come seconds later: what is on its way in that time is below it.
   */
  readonly unhurried_results: number
  readonly acks_wait_ms: number
  /** Pods that are published to at the same time, per partition. */
  readonly pods_at_once: number
  /**
   * Records of a partition that were read since the first that is not done: so many the next owner repeats at most, and
   * so many are kept count of. Beyond: nothing more is read.
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
  /** How fast what was put once before is put again into a store that has lost it, per partition. */
  readonly rebuild_records_per_second: number
  /** How often the mailboxes' offset is looked at while nothing comes: so soon a store that rolled back is noticed. */
  readonly look_every_ms: number
  /** How often the mailboxes' age limit is enforced. */
  readonly expire_every_ms: number
  /** Pods that are sent hints at the same time, per partition. */
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

export interface StorageWriterLimits extends ConsumerLimits {
  /** A chunk with fewer records than this is small. */
  readonly gather_records: number
  /** How long nothing is read after a small chunk, so that fewer and larger batches are written. */
  readonly gather_ms: number
  /** How often the lag of each partition is measured. */
  readonly lag_every_ms: number
  /** Whether to leave the archive alone until there is a record that was not written before. */
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
