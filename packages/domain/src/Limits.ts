/**
 * Every bound of the system: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | router: in flight | the client is diverted to its mailbox: safe at any time, and it goes REPLAYING |
 * | session: window | nothing more is delivered until the client acknowledges; pushes are held |
 * | session: held | the push is dropped and nacked; the mailbox has it |
 * | acks held back: read ahead, quiet | a program that is further behind its own transport may miss what it had not read when it died |
 * | acks held back: window | nothing more is delivered until what was sent is `quiet_ms` old, or a whole window is behind it |
 * | chunk | the next chunk waits: the log is read no faster than its records can be passed on |
 * | local log | told with each of them |
 * | channel: waiting | the whole publish is lost to that subscriber, as the protocol allows it to be |
 * | registry: entries | the oldest are forgotten: the same as a wipe, of those clients alone |
 * | registry, mailbox: idle | the client is forgotten: what still waits for it is kept first as long as mailboxes keep it |
 * | handlers: at once | the next event waits for a handler to finish |
 * | event order: partition, span | the events topic is not read on until something is finished |
 * | event order: client | of what its client sent since only the offsets are kept, and it is read again in its turn |
 * | publisher: batch | the batch is refused |
 * | journeys per second | further events are not sampled, unless somebody asked for it |
 * | outage | further failures are counted, and not told one by one |
 * | alarm | it is counted and shown all the time, and told no more often |
 * | JSON: nesting | the frame, message or request is refused |
 */
export interface RouterLimits {
  /** Results pushed to one client and not yet acknowledged. Beyond: divert. */
  readonly inflight_results_per_client: number
  /** The same over all clients of a partition. Beyond: the client with the oldest is diverted. */
  readonly inflight_results: number
  /** Clients with a route, per partition. Beyond: the client with the oldest route is diverted. */
  readonly routes: number
  /** Ticks (of the shell's clock) that a push may stay unacknowledged. Beyond: divert. */
  readonly ack_timeout_ticks: number
}

/**
 * Of a client that does not acknowledge itself (`AutoAck`) all of the last seconds is in flight: a result is acknowledged
 * `quiet_ms`, two looks and two round trips after it was sent, and the ack time-out has to be longer than that.
 */
export const routerLimits: RouterLimits = {
  inflight_results_per_client: 65_536,
  inflight_results: 262_144,
  routes: 200_000,
  ack_timeout_ticks: 40,
}

/** What one session of a client may have under way. */
export interface SessionLimits {
  /** Results sent and not yet acknowledged by the client. At the bound nothing is delivered. */
  readonly window_results: number
  /** The same in bytes. One result is always let through. */
  readonly window_bytes: number
  /** Pushes held for a gap or a full window. Beyond: drop and nack. */
  readonly held_results: number
  readonly held_bytes: number
  /** Records asked of the mailbox at a time. */
  readonly page_results: number
  readonly page_bytes: number
  /** Ticks between two looks into the mailbox while REPLAYING. */
  readonly read_every_ticks: number
  /** Ticks until a barrier that did not come back is published again; doubles each time up to the maximum. */
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

/** Clients that acknowledge nothing themselves. */
export interface AutoAckLimits {
  /** What a client's library may have read for a program that has not asked for it yet, beyond the stream's window. */
  readonly read_ahead_bytes: number
  /** How far a program may be behind its transport where less than that, and a window, was sent since. */
  readonly quiet_ms: number
  /** Between two looks at what may be acknowledged by its age. */
  readonly look_ms: number
  /** Results that are acknowledged together, and bytes until the next ping. One batch may be larger. */
  readonly mark_bytes: number
  /** The same in time. */
  readonly mark_ms: number
  /** `window_results` of a session whose acks are held back. At the bound nothing is delivered until they are old enough. */
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
 * How much waits for one client, and for how long. Beyond, the oldest results are removed, and the client is told
 * `lost`.
 */
export interface MailboxLimits {
  /** Per client; beyond any of the three the oldest records go, `floor` rises, and the client is sent `lost`. */
  readonly mailbox_results: number
  readonly mailbox_bytes: number
  readonly mailbox_age_ms: number
  /**
   * After the last that happened to a mailbox, or that its client was seen. One with nothing in it is forgotten then; not
   * before the topics have forgotten its records (`retained_ms` of `Mailbox.claim`), which would come to it a second time.
   */
  readonly mailbox_idle_ms: number
}

/** How long a client is remembered that does not come: `NIMBUS_IDLE_DAYS`. */
export const idle_ms = 30 * 24 * 60 * 60 * 1000

/** The defaults. */
export const mailboxLimits: MailboxLimits = {
  mailbox_results: 1_000_000,
  mailbox_bytes: 256 * 1024 * 1024,
  mailbox_age_ms: 7 * 24 * 60 * 60 * 1000,
  mailbox_idle_ms: idle_ms,
}

/** The most that one read of the log gives, and one produce request carries. */
export interface ChunkLimits {
  readonly chunk_records: number
  readonly chunk_bytes: number
}

/** The defaults. */
export const chunkLimits: ChunkLimits = { chunk_records: 4_096, chunk_bytes: 1024 * 1024 }

/** What a group may keep with a commit. Kafka's brokers have this as their default, and refuse the whole commit beyond. */
export interface CommitLimits {
  /** As it is written, in UTF-8. */
  readonly metadata_bytes: number
}

/** The defaults. */
export const commitLimits: CommitLimits = { metadata_bytes: 4_096 }

/** The memory channels. */
export interface ChannelLimits {
  /**
   * Messages that wait for one subscriber. Beyond: the publish is lost to it. A subscriber with nothing waiting takes
   * a publish of any size.
   */
  readonly waiting_messages: number
}

/** The defaults. */
export const channelLimits: ChannelLimits = { waiting_messages: 65_536 }

/** The memory registry. */
export interface RegistryLimits {
  /** Clients it knows. Beyond: the sixteenth part that came first is forgotten, until each of them is written again. */
  readonly entries: number
  /** After it was written last a client is forgotten: not before this time, and before twice this time. */
  readonly idle_ms: number
}

/** The defaults. */
export const registryLimits: RegistryLimits = { entries: 1_000_000, idle_ms }

/** The memory of direct delivery's offsets. */
export interface ClientOffsetsLimits {
  /** Clients it knows. Beyond: the one saved longest ago is forgotten, and rebuilt from its mailbox. */
  readonly offsets: number
}

/** The defaults. */
export const clientOffsetsLimits: ClientOffsetsLimits = { offsets: 1_000_000 }

/** A log within one process, on whatever store. */
export interface LocalLogLimits extends ChunkLimits {
  /** The newest records of all partitions, kept in memory. Beyond: the oldest go, and are read from the store again. */
  readonly tail_cache_bytes: number
  /** Records that wait to be written. Beyond: publishing fails with `LogUnavailable`, and may be tried again. */
  readonly append_queue_bytes: number
  /** Records in one write to the store. Beyond: the rest makes the next one. */
  readonly append_bytes: number
  /** How long a group commit may wait for a write that it can go with. A crash loses at most the commits of this time. */
  readonly commit_delay_ms: number
  /** Time between two looks for what retention removes. */
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
  /** Records kept in each partition of each topic. Beyond: the oldest go. */
  retention_bytes: 64 * 1024 * 1024,
}

/** Journeys that nobody asked for. */
export interface JourneyLimits {
  /** Events that are sampled per second, of those that one gateway or `Publisher` takes. 0: none. */
  readonly journeys_per_second: number
}

/** The defaults. */
export const journeyLimits: JourneyLimits = { journeys_per_second: 20 }

/** Journey steps on their way to the journey topic; how many may wait is `late_steps` of the gateway and the pipeline. */
export const lateStepsLimits = {
  /** How long steps are collected for one write. */
  collect_ms: 200,
  /** How long the last write may take when the process, or the role, ends. */
  close_timeout_ms: 2_000,
}

/** Spans of calls to the services: the log, the mailboxes, the registry and the like. */
export const serviceSpanLimits = {
  /** Traces that such calls begin per second, in one process. 0: none. */
  spans_per_second: 0,
}

/** What is told of something that fails again and again. */
export interface OutageLimits {
  /** How soon after the end of an outage the next of its kind is logged. One that is over by then is not. */
  readonly outage_quiet_ms: number
  /** How often an outage that lasts is logged again. */
  readonly outage_again_ms: number
}

/** The defaults. */
export const outageLimits: OutageLimits = { outage_quiet_ms: 10_000, outage_again_ms: 60_000 }

/** How the processes of an installation say that they are there. */
export const memberLimits = {
  /** Between two times. */
  member_every_ms: 5_000,
  /** After the last one. Beyond: it is forgotten. */
  member_ttl_ms: 20_000,
}

/** Faults that do not pass on their own. */
export interface AlarmLimits {
  /** How often one that lasts is logged again. */
  readonly alarm_again_ms: number
}

/** The defaults. */
export const alarmLimits: AlarmLimits = { alarm_again_ms: 60_000 }

/** The event handlers of one event consumer. */
export interface HandlerLimits {
  /** Unfinished handlers at once. Beyond: the events after them wait. */
  readonly handlers_at_once: number
  /** How long a handler may take. Beyond: it is interrupted, and the result is `HANDLER_TIMEOUT`. */
  readonly handler_timeout_ms: number
  /** Of the message in an error result. Beyond: cut off. */
  readonly failure_message_chars: number
}

/** The defaults. */
export const handlerLimits: HandlerLimits = {
  handlers_at_once: 256,
  handler_timeout_ms: 10_000,
  failure_message_chars: 1_024,
}

/** What the event consumer has read of a partition and not finished. */
export interface EventOrderLimits {
  /** Unfinished handlers of the partition at once: `HandlerLimits.handlers_at_once`. */
  readonly handlers_at_once: number
  /** In memory, with what leaves for them. Beyond: the events topic is not read on. */
  readonly partition_records: number
  readonly partition_bytes: number
  /** Of one client, behind the event that is handled. Beyond: only offsets are kept, to be read again in its turn. */
  readonly client_records: number
  readonly client_bytes: number
  /** From the lowest that is not finished to the last that was read. Beyond: the events topic is not read on. */
  readonly span_records: number
}

/** The defaults. */
export const eventOrderLimits: EventOrderLimits = {
  handlers_at_once: handlerLimits.handlers_at_once,
  partition_records: 16_384,
  partition_bytes: 16 * 1024 * 1024,
  client_records: 256,
  client_bytes: 256 * 1024,
  span_records: 1_048_576,
}

/** JSON from outside. */
export interface JsonLimits {
  /** Arrays and objects in each other, of what comes from outside. Beyond: refused. */
  readonly nesting_levels: number
}

/** The defaults. */
export const jsonLimits: JsonLimits = { nesting_levels: 128 }

/** Pages of the archive over HTTP. */
export const pageLimits = {
  /** The most records that may be asked for. Beyond: `BAD_REQUEST`. */
  page_records: 1_000,
  /** Where the request says nothing. */
  page_default_records: 100,
}
