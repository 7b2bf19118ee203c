/**
 * Every bound of the system: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | router: in flight | the client is diverted to its mailbox, which is always safe, and returns to REPLAYING |
 * | session: window | nothing more is delivered until the client acknowledges; pushes are held |
 * | session: held | the push is dropped and nacked; its record is then in the mailbox |
 * | acks held back: read ahead, quiet | a program that is further behind its transport may miss what it has not read when it crashes |
 * | acks held back: window | nothing more is delivered until what was sent is `quiet_ms` old, or a whole window was sent after it |
 * | chunk | the next chunk waits: the log is read only as fast as its records are passed on |
 * | local log | see each of them |
 * | channel: waiting | that subscriber loses the whole publish, which the protocol allows |
 * | registry: entries | the oldest are forgotten, which is a wipe for those clients only |
 * | registry, mailbox: idle | the client is forgotten, but never before its waiting records expire |
 * | handlers: at once | the next event waits until a handler has finished |
 * | event order: partition, span | the events topic is not read until an event is finished |
 * | event order: client | only the offsets of the client's further events are kept, and they are read again in turn |
 * | tasks: attempts | it ends with `TASK_ATTEMPTS` |
 * | tasks: open, of a client or a partition | the newest end with `TASKS_FULL` |
 * | tasks: time to live | it ends with `TASK_EXPIRED` |
 * | tasks: spilled | the events topic is not read until one of them was read again |
 * | repeats: dedupe | an id that was used longer ago is a new one |
 * | repeats: spilled | the events topic is not read until one of them was read again |
 * | publisher: batch | the batch is refused |
 * | journeys per second | further events are not sampled, unless their sender requests it |
 * | outage | further failures are counted, and not logged one by one |
 * | alarm | it is always in the metrics, and logged no more often |
 * | JSON: nesting | the frame, message or request is refused |
 * | revocations: orders, bytes | a new order is refused; those in force stay |
 * | audit: waiting | the oldest entries that wait are dropped, and counted |
 * | tickets: waiting, bytes | the oldest is worth nothing any more |
 */
export interface RouterLimits {
  /** Results pushed to one client and not acknowledged. Beyond: the client is diverted. */
  readonly inflight_results_per_client: number
  /** The same over all clients of a partition. Beyond: the client with the oldest is diverted. */
  readonly inflight_results: number
  /** Clients with a route, per partition. Beyond: the client with the oldest route is diverted. */
  readonly routes: number
  /** Ticks of the shell that a push may stay unacknowledged. Beyond: the client is diverted. */
  readonly ack_timeout_ticks: number
}

/**
 * For a client that does not acknowledge itself (`AutoAck`), all results of the last seconds are in flight: a result is
 * acknowledged `quiet_ms`, two looks and two round trips after it was sent. The ack time-out must be longer than that.
 */
export const routerLimits: RouterLimits = {
  inflight_results_per_client: 65_536,
  inflight_results: 262_144,
  routes: 200_000,
  ack_timeout_ticks: 40,
}

/** What one session may hold and have in flight. */
export interface SessionLimits {
  /** Results sent and not acknowledged by the client. At the bound nothing is delivered. */
  readonly window_results: number
  /** The same in bytes. One result is always allowed. */
  readonly window_bytes: number
  /** Pushes held for a gap or a full window. Beyond: a push is dropped and nacked. */
  readonly held_results: number
  readonly held_bytes: number
  /** The size of a page that is read from the mailbox. */
  readonly page_results: number
  readonly page_bytes: number
  /** Ticks between two reads of the mailbox while REPLAYING. */
  readonly read_every_ticks: number
  /** Ticks until a barrier that has not returned is published again. They double up to the maximum. */
  readonly barrier_timeout_ticks: number
  readonly barrier_timeout_max_ticks: number
}

/** The defaults. */
export const sessionLimits: SessionLimits = {
  window_results: 16_384,
  window_bytes: 8 * 1024 * 1024,
  held_results: 1_024,
  held_bytes: 1024 * 1024,
  page_results: 4_096,
  page_bytes: 1024 * 1024,
  read_every_ticks: 4,
  barrier_timeout_ticks: 8,
  barrier_timeout_max_ticks: 240,
}

/** Acks of clients that do not acknowledge themselves. */
export interface AutoAckLimits {
  /** What the library of a client may read ahead for its program, in addition to the window of the stream. */
  readonly read_ahead_bytes: number
  /** How far a program may be behind its transport, if less than that and a window were sent since. */
  readonly quiet_ms: number
  /** The time between two checks of what may be acknowledged by its age. */
  readonly look_ms: number
  /** The bytes of results that are acknowledged together, and until the next ping. One batch may be larger. */
  readonly mark_bytes: number
  /** The same in time. */
  readonly mark_ms: number
  /** `window_results` of a session whose acks are held back. At the bound nothing is delivered until acks are due. */
  readonly window_results: number
  readonly window_bytes: number
}

/** The defaults. */
export const autoAckLimits: AutoAckLimits = {
  read_ahead_bytes: 256 * 1024,
  quiet_ms: 5_000,
  look_ms: 500,
  mark_bytes: 32 * 1024,
  mark_ms: 100,
  window_results: 131_072,
  window_bytes: 16 * 1024 * 1024,
}

/**
 * How much waits for one client, and for how long. Beyond: the oldest results are removed, and the client is sent
 * `lost`.
 */
export interface MailboxLimits {
  /** Per client. Beyond any of the three the oldest records are removed, `floor` rises, and the client is sent `lost`. */
  readonly mailbox_results: number
  readonly mailbox_bytes: number
  readonly mailbox_age_ms: number
  /**
   * The time since the last change of a mailbox, or since its client was last connected, after which an empty mailbox is
   * forgotten. It is kept as long as the topics have its records (`retained_ms` of `Mailbox.claim`), which would otherwise be
   * delivered again.
   */
  readonly mailbox_idle_ms: number
}

/** How long the state of a client that does not return is kept: `NIMBUS_IDLE_DAYS`. */
export const idle_ms = 30 * 24 * 60 * 60 * 1000

/** The defaults. */
export const mailboxLimits: MailboxLimits = {
  mailbox_results: 1_000_000,
  mailbox_bytes: 256 * 1024 * 1024,
  mailbox_age_ms: 7 * 24 * 60 * 60 * 1000,
  mailbox_idle_ms: idle_ms,
}

/** The size of one read of the log, and of one produce request. */
export interface ChunkLimits {
  readonly chunk_records: number
  readonly chunk_bytes: number
}

/** The defaults. */
export const chunkLimits: ChunkLimits = { chunk_records: 4_096, chunk_bytes: 1024 * 1024 }

/** The metadata of a commit. The value is the default of Kafka's brokers. Beyond, they refuse the whole commit. */
export interface CommitLimits {
  /** The encoded metadata, in UTF-8. */
  readonly metadata_bytes: number
}

/** The defaults. */
export const commitLimits: CommitLimits = { metadata_bytes: 4_096 }

/** The memory channels. */
export interface ChannelLimits {
  /**
   * Messages that wait for one subscriber. Beyond: the publish is lost for this subscriber. If nothing waits, a publish may
   * have any size.
   */
  readonly waiting_messages: number
}

/** The defaults. */
export const channelLimits: ChannelLimits = { waiting_messages: 65_536 }

/** The memory registry. */
export interface RegistryLimits {
  /** Clients in the registry. Beyond: the oldest sixteenth is forgotten, until each of them is written again. */
  readonly entries: number
  /** A client is forgotten between once and twice this time after its last write. */
  readonly idle_ms: number
}

/** The defaults. */
export const registryLimits: RegistryLimits = { entries: 1_000_000, idle_ms }

/** The offsets of direct delivery, in memory. */
export interface ClientOffsetsLimits {
  /** Clients with an offset. Beyond: the one that was saved longest ago is forgotten, and its client reads its mailbox. */
  readonly offsets: number
}

/** The defaults. */
export const clientOffsetsLimits: ClientOffsetsLimits = { offsets: 1_000_000 }

/** A log within one process, on any store. */
export interface LocalLogLimits extends ChunkLimits {
  /** The newest records of all partitions, kept in memory. Beyond: the oldest are dropped, and read from the store again. */
  readonly tail_cache_bytes: number
  /** Records that wait to be written. Beyond: a publish fails with `LogUnavailable`, and may be repeated. */
  readonly append_queue_bytes: number
  /** Records in one write to the store. Beyond: the rest is in the next write. */
  readonly append_bytes: number
  /** How long a group commit may wait for a write to join. A crash loses at most the commits of this time. */
  readonly commit_delay_ms: number
  /** The time between two runs of retention. */
  readonly retention_every_ms: number
}

/** The defaults. */
export const localLogLimits: LocalLogLimits = {
  ...chunkLimits,
  tail_cache_bytes: 64 * 1024 * 1024,
  append_queue_bytes: 64 * 1024 * 1024,
  append_bytes: 8 * 1024 * 1024,
  commit_delay_ms: 100,
  retention_every_ms: 1_000,
}

/** The log in memory. */
export const memoryLogLimits = {
  /** The partition count of each topic. */
  partitions: 4,
  /** Records kept in each partition of each topic. Beyond: the oldest are removed. */
  retention_bytes: 64 * 1024 * 1024,
}

/** Journeys that no sender requested. */
export interface JourneyLimits {
  /** Events that one gateway or `Publisher` samples per second. 0: none. */
  readonly journeys_per_second: number
}

/** The defaults. */
export const journeyLimits: JourneyLimits = { journeys_per_second: 20 }

/** Journey steps on their way to the journey topic. `late_steps` of the gateway and the pipeline bound their number. */
export const lateStepsLimits = {
  /** How long steps are collected for one write. */
  collect_ms: 200,
  /** How long the last write may take when the process, or the role, ends. */
  close_timeout_ms: 2_000,
}

/** Spans of calls to the services, such as the log, the mailboxes and the registry. */
export const serviceSpanLimits = {
  /** Traces that such calls start per second, in one process. 0: none. */
  spans_per_second: 0,
}

/** The log lines of an operation that fails repeatedly. */
export interface OutageLimits {
  /** The time after an outage in which the next one of its kind is not logged yet. If it ends in this time, it never is. */
  readonly outage_quiet_ms: number
  /** How often a lasting outage is logged again. */
  readonly outage_again_ms: number
}

/** The defaults. */
export const outageLimits: OutageLimits = { outage_quiet_ms: 10_000, outage_again_ms: 60_000 }

/** How the processes of an installation announce themselves. */
export const memberLimits = {
  /** The time between two announcements. */
  member_every_ms: 5_000,
  /** How long a process is known after its last announcement. */
  member_ttl_ms: 20_000,
}

/** Faults that an operator must fix. */
export interface AlarmLimits {
  /** How often a lasting alarm is logged again. */
  readonly alarm_again_ms: number
}

/** The defaults. */
export const alarmLimits: AlarmLimits = { alarm_again_ms: 60_000 }

/** The event handlers of one event consumer. */
export interface HandlerLimits {
  /** Concurrent handlers. Beyond: further events wait. */
  readonly handlers_at_once: number
  /** How long a handler without a `timeout` may take. Beyond: it is interrupted, and the result is `HANDLER_TIMEOUT`. */
  readonly handler_timeout_ms: number
  /** The message of an error result. Beyond: it is truncated. */
  readonly failure_message_chars: number
}

/** The defaults. */
export const handlerLimits: HandlerLimits = {
  handlers_at_once: 256,
  handler_timeout_ms: 10_000,
  failure_message_chars: 1_024,
}

/** Events of a partition that the event consumer has read and not finished. */
export interface EventOrderLimits {
  /** Concurrent handlers of the partition: `HandlerLimits.handlers_at_once`. */
  readonly handlers_at_once: number
  /**
   * Concurrent handlers of one subject, where there are locks: so many times as many as are free then. Beyond: its events
   * wait, and those of others are handled.
   */
  readonly subject_share: number
  /** Events in memory, with their results. Beyond: the events topic is not read. */
  readonly partition_records: number
  readonly partition_bytes: number
  /** Events of one client after the one that is handled. Beyond: only their offsets are kept, and they are read again. */
  readonly client_records: number
  readonly client_bytes: number
  /** Offsets from the first unfinished event to the last one that was read. Beyond: the events topic is not read. */
  readonly span_records: number
}

/** The defaults. */
export const eventOrderLimits: EventOrderLimits = {
  handlers_at_once: handlerLimits.handlers_at_once,
  subject_share: 3,
  partition_records: 16_384,
  partition_bytes: 16 * 1024 * 1024,
  client_records: 256,
  client_bytes: 256 * 1024,
  span_records: 1_048_576,
}

/** The same id twice. */
export interface RepeatLimits {
  /**
   * Offsets of a partition, the record's own among them, in which an id is recognised: `NIMBUS_DEDUPE_RECORDS`. Each takes up
   * 17 to 22 bytes. Beyond: it is a new id.
   */
  readonly dedupe_records: number
  /** Repeats of which only the offset is kept, with the seq of the first one. Beyond: the events topic is not read. */
  readonly spilled_repeats: number
}

/** The defaults. */
export const repeatLimits: RepeatLimits = { dedupe_records: 100_000, spilled_repeats: 4_096 }

/** Tasks, by a task worker. */
export interface TaskQueueLimits {
  /** Tasks of one process that run at once, with those about to. Beyond: they wait, and only their places are kept. */
  readonly at_once: number
  /** The same, of one client. */
  readonly client_at_once: number
  /** The same, of one subject, where there are locks: so many times as many as are free then. Beyond: they wait. */
  readonly subject_share: number
  /** Before a task begins again that a late worker has begun meanwhile. */
  readonly fenced_ticks: number
}

/** The defaults. */
export const taskQueueLimits: TaskQueueLimits = {
  at_once: 500,
  client_at_once: 16,
  subject_share: 3,
  fenced_ticks: 100,
}

/** What a task is given that does not say it of itself. */
export interface TaskDefaultLimits {
  /** How long an attempt of a task without a `timeout` may take. Beyond: the task ends with `HANDLER_TIMEOUT`. */
  readonly task_timeout_ms: number
  /** How long a part waits for others to be joined with it. The first one after a pause does not wait. */
  readonly join_ms: number
  /** The bytes of parts that are joined. Beyond: they are published. */
  readonly join_bytes: number
}

/** The defaults. */
export const taskDefaultLimits: TaskDefaultLimits = {
  task_timeout_ms: 60 * 60 * 1000,
  join_ms: 20,
  join_bytes: 4 * 1024,
}

/** The handlers and tasks that Nimbus ships to be tried out (`Handlers.samples`). */
export const sampleLimits = {
  /** The longest that an event of `slow` may ask for. */
  slow_ms: 10_000,
  /** Events of `slow` that one process handles at once. Beyond: they wait, so that it never takes up what others need. */
  slow_at_once: 32,
  /** The text that an event of `stream` has. With `stream_most_ms` between its words it is done within half an hour. */
  stream_chars: 4_000,
  /** Before each word of `stream`, if its event does not say otherwise. */
  stream_every_ms: 200,
  /** The longest that an event of `stream` may ask for before each word. */
  stream_most_ms: 1_000,
}

/** Tasks, by the event consumer. */
export interface TaskLimits {
  /** Attempts of one task, each begun by a worker. Beyond: it ends with `TASK_ATTEMPTS`. */
  readonly task_attempts: number
  /** Tasks of one client that have not ended. Beyond: the newest end with `TASKS_FULL`. */
  readonly client_open_tasks: number
  /** The same of a partition. */
  readonly partition_open_tasks: number
  /**
   * How long after its event a task may end: `NIMBUS_TASK_TTL`. Beyond: it ends with `TASK_EXPIRED`. Less than the retention of
   * the events topic, and an event consumer that starts reads back as far as the oldest open task.
   */
  readonly task_ttl_ms: number
  /** Records of tasks of which only the offset is kept, with what becomes of them. Beyond: the events topic is not read. */
  readonly spilled_verdicts: number
}

/** The defaults. */
export const taskLimits: TaskLimits = {
  task_attempts: 5,
  client_open_tasks: 100,
  partition_open_tasks: 10_000,
  task_ttl_ms: 24 * 60 * 60 * 1000,
  spilled_verdicts: 65_536,
}

/** JSON from outside. */
export interface JsonLimits {
  /** Levels of arrays and objects, in JSON from outside. Beyond: it is refused. */
  readonly nesting_levels: number
}

export { jsonLimits } from "./json/JsonLimits.ts"

/** Pages of the archive over HTTP. */
export const pageLimits = {
  /** The largest `limit` of a request. Beyond: `BAD_REQUEST`. */
  page_records: 1_000,
  /** The `limit` of a request without one. */
  page_default_records: 100,
}

/** Orders by which tokens and subjects count no more. */
export interface RevocationLimits {
  /** Orders in force. Beyond: a new one is refused with `REVOCATIONS_FULL`. */
  readonly revocation_orders: number
  /** The same in bytes, with what a log needs beside each. Less than `revocation_rewrite_bytes`. */
  readonly revocation_bytes: number
  /** The characters of an issuer, a subject or a token's id in an order. Beyond: it is refused. */
  readonly revocation_chars: number
  /** How long an order about all tokens of a subject is kept. A token that lives longer must be revoked by a block. */
  readonly revocation_kept_s: number
  /** How long the end of a block is kept: longer than clocks differ, and than a record of the block may be on its way. */
  readonly revocation_unblock_kept_ms: number
  /** How far back in the log an order may stand. Beyond: a gateway writes it again at the end. */
  readonly revocation_rewrite_bytes: number
  /** What the log keeps of the topic. It is never less than what gateways rewrite, so all that is in force is there. */
  readonly revocation_retention_bytes: number
  /** The time between two looks at what is over and what is to be written again. */
  readonly revocation_keep_every_ms: number
}

/** The defaults. */
export const revocationLimits: RevocationLimits = {
  revocation_orders: 100_000,
  revocation_bytes: 64 * 1024 * 1024,
  revocation_chars: 512,
  revocation_kept_s: 366 * 24 * 60 * 60,
  revocation_unblock_kept_ms: 24 * 60 * 60 * 1000,
  revocation_rewrite_bytes: 128 * 1024 * 1024,
  revocation_retention_bytes: 512 * 1024 * 1024,
  revocation_keep_every_ms: 10_000,
}

/** Tickets, for clients that can put a credential nowhere but into a URL. */
export interface TicketLimits {
  /** How long a ticket is worth something. */
  readonly ticket_ms: number
  /** Tickets in memory that were not redeemed. Beyond: the oldest is worth nothing any more. */
  readonly tickets_waiting: number
  /** The same in bytes of the tokens that they stand for. The newest is kept, however large. */
  readonly tickets_bytes: number
}

/** The defaults. */
export const ticketLimits: TicketLimits = {
  ticket_ms: 30_000,
  tickets_waiting: 100_000,
  tickets_bytes: 64 * 1024 * 1024,
}

/** Who did what. */
export interface AuditLimits {
  /** How long repeats of an entry are joined. */
  readonly audit_join_ms: number
  /** Entries that wait to be written, and kinds of entries with repeats. Beyond: the oldest that wait are dropped, and counted. */
  readonly audit_waiting: number
  /** The characters of a text in an entry. Beyond: it is cut. */
  readonly audit_chars: number
  /** Lines of the process' own log for entries, per second. Beyond: they are counted, and in the topic alone. */
  readonly audit_lines_per_second: number
  /** How long entries are collected for one write. */
  readonly audit_collect_ms: number
  /** How long the last write may take when the process ends. */
  readonly audit_close_timeout_ms: number
}

/** The defaults. */
export const auditLimits: AuditLimits = {
  audit_join_ms: 60_000,
  audit_waiting: 10_000,
  audit_chars: 512,
  audit_lines_per_second: 50,
  audit_collect_ms: 200,
  audit_close_timeout_ms: 2_000,
}

/** The topic of the audit. */
export const auditTopicLimits = {
  /** How long entries are kept, and how much in each partition. */
  audit_retention_age_ms: 90 * 24 * 60 * 60 * 1000,
  audit_retention_bytes: 256 * 1024 * 1024,
}
