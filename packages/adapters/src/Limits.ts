/**
 * Every bound of this package: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | lmdb: tables | opening one more fails with `StorageUnavailable` |
 * | log: retention | the oldest blocks go, and a reader that was there begins at the earliest that is left |
 * | log: drop | the rest goes the next time |
 * | mailbox: block | the next block begins; a larger record has a block of its own |
 * | mailbox: merge | an append begins a block of its own |
 * | mailbox: ack delay, acks waiting | the acks are written: a crash before loses no more than the trimming |
 * | mailbox: clients in a step | the rest comes in a step of its own, after others had their turn |
 * | start: attempts | none: a service that is not there yet is waited for, with one line a minute |
 * | redis: reply, connect | the connection is given up and made again; what waited for it fails |
 * | redis: presences, clients in a step | the rest comes in a step of its own, after others had their turn |
 * | redis: broadcasts in the stream | the oldest go |
 * | redis: memory | writes fail until acks, which always may, have made room (`noeviction`); known clients go on meanwhile |
 * | kafka: publish queue | publishing fails with `LogUnavailable`, and may be tried again |
 * | kafka: batch, produce, fetch, requests | the rest goes with the next request |
 * | kafka: message | a larger publish fails with `LogRefused`: there is no way to write it in one piece |
 * | kafka: delivery, question | it fails with `LogUnavailable`, and may be tried again |
 * | kafka: read ahead | nothing more is fetched until the reader has taken some |
 * | kafka: decoded | a batch that takes up more can't be read, and goes to quarantine; batches that do so together come one after the other |
 * | kafka: unreadable | the rest of the batch's bytes is left out, and the record says so |
 * | kafka: open transaction | it is told, and again as long as it lasts; readers wait for it |
 * | kafka: session | the group gives the partitions to others, and their previous owner knows |
 * | kafka: close | what is still waiting fails; a group that was left without a word notices after a session's time |
 * | postgres: connections | the next query waits for one |
 * | postgres: statement | it fails, and its transaction with it; it may be tried again |
 * | pglite: close | it is cut off, and recovers the next time |
 * | dynamodb: requests, items | the rest waits for one of them |
 * | dynamodb: item | the record is refused: there is no way to write it |
 * | dynamodb: unprocessed | the write fails, and may be made again |
 * | postgres: clients, records in a step | the rest comes in the next |
 * | HTTP handler: calls at once | the next call waits, within the time of its event |
 * | HTTP handler: call, event | the call is made again; the event fails with `HTTP_HANDLER_UNAVAILABLE` |
 * | HTTP handler: answer | the event fails with `HTTP_HANDLER_ANSWER_INVALID` |
 */
import { type ChunkLimits, chunkLimits } from "@nimbus/domain/limits"

/** Bounds of one LMDB environment. */
export const lmdbLimits = {
  /** Named tables in one environment. */
  tables: 32,
}

/** The log on LMDB. */
export const lmdbLogLimits = {
  /** The partition count of each topic, for a new log. */
  partitions: 4,
  /** Records kept in each partition of each topic, if the topic has no retention of its own. */
  retention_bytes: 1024 * 1024 * 1024,
  retention_age_ms: 7 * 24 * 60 * 60 * 1000,
  /** Blocks of one partition dropped in one step. */
  drop_blocks: 4_096,
}

/** The mailboxes on LMDB. */
export interface MailboxStorageLimits {
  /** Records of one mailbox are stored, and read, in blocks up to this size. */
  readonly block_bytes: number
  /** The last block of a mailbox takes more records until it has this size. */
  readonly merge_bytes: number
  /** An ack is written after this time at the latest. */
  readonly ack_delay_ms: number
  /** Clients with an ack not yet written. Beyond: the next ack waits until there are fewer. */
  readonly waiting_acks: number
  /** Clients whose acks are written, or whose age is looked at, in one step of this thread. */
  readonly step_clients: number
}

/**
 * That a client is here is written down, of its mailbox, once in this part of the time after which that is forgotten.
 */
export const seen_share = 1 / 16

/** The defaults. */
export const mailboxStorageLimits: MailboxStorageLimits = {
  block_bytes: 16 * 1024,
  merge_bytes: 1024,
  ack_delay_ms: 50,
  waiting_acks: 65_536,
  step_clients: 256,
}

/** Waiting for a service that is not there yet. */
export const startLimits = {
  /** Between the first two attempts; doubles each time up to the maximum. */
  attempt_min_ms: 100,
  attempt_max_ms: 5_000,
}

/** A connection to Redis. */
export interface RedisLimits {
  /** Until a new connection must be there. */
  readonly connect_timeout_ms: number
  /** How long Redis may owe a reply without sending a byte. */
  readonly reply_timeout_ms: number
  /** Between two attempts to connect again; doubles each time up to the maximum. */
  readonly reconnect_min_ms: number
  readonly reconnect_max_ms: number
  /** Between two questions whether a connection that only listens is alive, or which node of a cluster has what. */
  readonly ping_every_ms: number
  /** Between two looks whether Redis is set as it must be, and takes writes. */
  readonly watch_every_ms: number
  /** The least time between two looks, however many commands are refused. */
  readonly watch_pause_ms: number
}

/** The defaults. */
export const redisLimits: RedisLimits = {
  connect_timeout_ms: 5_000,
  reply_timeout_ms: 5_000,
  reconnect_min_ms: 50,
  reconnect_max_ms: 2_000,
  ping_every_ms: 2_000,
  watch_every_ms: 5_000,
  watch_pause_ms: 500,
}

/** The registry in Redis. */
export const redisRegistryLimits = {
  /** Presences written, or clients asked for, in one step of Redis, which does nothing else meanwhile. */
  step_clients: 512,
  /** Entries asked of Redis at a time when all are read. */
  scan_entries: 1_000,
  /** Between two looks whether it is time to forget what nobody has written for `NIMBUS_IDLE_DAYS`. */
  turn_every_ms: 60 * 60 * 1000,
}

/** The offsets of direct delivery in Redis. */
export const redisOffsetsLimits = {
  /** After the last write. Then the client is forgotten: by then the log has forgotten its results too. */
  offset_ttl_ms: 7 * 24 * 60 * 60 * 1000,
  /** Scripts under way for one chunk. Beyond: the next ones wait. */
  saves_at_once: 256,
}

/** What processes note in Redis for each other. */
export const redisNoteLimits = {
  /**
   * Between two notes of what a Redis may have lost: which channel a pod listens to, which store keeps the mailboxes.
   */
  note_every_ms: 5_000,
  /** Pods whose channel a process keeps in mind. Beyond: all are forgotten, and asked for again. */
  known_pods: 10_000,
}

/** Broadcasts of the chat through a stream in Redis. */
export const redisBroadcastLimits = {
  /** Kept in the stream, about: a gateway that Redis lost for longer than these misses the older ones. */
  stream_entries: 10_000,
  /** How long a read waits within Redis for the next. */
  block_ms: 2_000,
}

/** The mailboxes in Redis. */
export interface RedisMailboxLimits {
  /** Records of one mailbox are stored, and read, in blocks up to this size. A late record makes its block larger. */
  readonly block_bytes: number
  /** The last block of a mailbox takes more records until it has this size. */
  readonly merge_bytes: number
  /** Clients whose acks are written, or who are looked at, in one step of Redis, which does nothing else meanwhile. */
  readonly step_clients: number
}

/** The defaults. */
export const redisMailboxLimits: RedisMailboxLimits = {
  block_bytes: 16 * 1024,
  merge_bytes: 1024,
  step_clients: 256,
}

/** PostgreSQL. */
export const postgresLimits = {
  /** Connections of one process. */
  connections: 8,
  /** Until a new connection must be there. */
  connect_timeout_ms: 5_000,
  /** How long a statement may take, and a transaction may wait for the next. */
  statement_timeout_ms: 30_000,
}

/** The mailboxes in PostgreSQL. */
export interface PostgresMailboxLimits {
  /** Mailboxes that `expire` looks at, whether they are to be forgotten, each time; the next ones the next time. */
  readonly idle_clients: number
  /** Clients whose acks are written, or whose age is looked at, in one transaction. */
  readonly step_clients: number
  /** Records of a mailbox looked at in one go where its oldest are removed. */
  readonly remove_records: number
}

/** The defaults. */
export const postgresMailboxLimits: PostgresMailboxLimits = {
  idle_clients: 10_000,
  step_clients: 1_000,
  remove_records: 1_000,
}

/** PGlite, PostgreSQL in this process. */
export const pgliteLimits = {
  /** Pages of tables that it keeps in memory. */
  shared_buffers_bytes: 8 * 1024 * 1024,
  /** Of its write-ahead log, the same. */
  wal_buffers_bytes: 1024 * 1024,
  /** The write-ahead log on disk. Beyond: a checkpoint. */
  max_wal_bytes: 64 * 1024 * 1024,
  /** How long who reads waits for a page, where it is opened for that too. Beyond: `ArchiveUnavailable`. */
  page_timeout_ms: 30_000,
  /** How long closing may take. Beyond: it is cut off, as by a crash. */
  close_timeout_ms: 5_000,
}

/** The archive in DynamoDB. */
export const dynamoLimits = {
  /** Batch requests of one write under way. */
  requests: 8,
  /** Items in one of them; DynamoDB takes no more. */
  request_items: 25,
  /** An item; DynamoDB takes no more. */
  item_bytes: 400 * 1024,
  /** Where an item is larger than this, requests carry one each. */
  large_item_bytes: 100 * 1024,
  /** How often what a batch request left unprocessed is sent again, the first time included. */
  unprocessed_attempts: 10,
  /** The wait before that; doubles each time up to the maximum. */
  backoff_min_ms: 20,
  backoff_max_ms: 2_000,
  /** How often the SDK tries a request automatically. */
  attempts: 3,
  /** Until a new connection must be there. */
  connect_timeout_ms: 5_000,
  /** How long a request may take. */
  request_timeout_ms: 15_000,
  /** Between two looks whether a new table can be used. */
  table_poll_ms: 250,
}

/** The log on Kafka. */
export interface KafkaLimits extends ChunkLimits {
  /** Records in one chunk that is read. */
  readonly chunk_records: number
  readonly chunk_bytes: number
  /** The partition count of each topic, for topics that are created. */
  readonly partitions: number
  /** Records kept in each partition of each topic that is created. */
  readonly retention_bytes: number
  readonly retention_age_ms: number
  /** Kafka removes whole segments; one of a topic that is created has the records of this time at most. */
  readonly segment_age_ms: number
  /** The largest batch that a topic takes, for topics that are created. */
  readonly message_bytes: number
  /** The least that a topic must take. Below: it refuses to start. */
  readonly message_min_bytes: number
  /** How long Kafka keeps the note which life of the topics this is; written again at each start. */
  readonly note_keep_ms: number
  /** Between two looks whether topics are as they were, and how they are set. */
  readonly topics_every_ms: number
  /** How long a refusal of Kafka that does not pass counts as lasting, after it was last met. */
  readonly refusal_ms: number
  /** Until a new connection must be there, and have been let in. */
  readonly connect_timeout_ms: number
  /**
   * How long a broker may take to answer what it can answer at once. Beyond, as with the next two: another connection.
   */
  readonly answer_timeout_ms: number
  /** The same for records that are written, with all replicas, and for topics that are created. */
  readonly request_timeout_ms: number
  /** Until a question about offsets, or a commit, must be answered; and records that are there to be read. */
  readonly question_timeout_ms: number
  /** Between a failure and the next attempt; doubles each time up to the maximum. */
  readonly retry_min_ms: number
  readonly retry_max_ms: number
  /** Records that wait to be written. */
  readonly publish_queue_bytes: number
  /** Publishes to one partition that are written as one batch. A single one may be larger. */
  readonly batch_bytes: number
  /** Batches of several partitions in one request. */
  readonly produce_bytes: number
  /** Requests to one broker under way. Meanwhile the next ones fill. */
  readonly produce_requests: number
  /** How long a publish may take, with everything that is tried again. */
  readonly delivery_timeout_ms: number
  /** How long a fetch waits for records. They are answered at once; this is how long a broker holds an idle one. */
  readonly fetch_wait_ms: number
  /** The same while a reader with no room is left out, which may have some any moment. */
  readonly fetch_hurry_ms: number
  /** In the answer to one fetch. */
  readonly fetch_bytes: number
  /** Fetched for one reader that has not taken it yet. One answer may go beyond. */
  readonly read_ahead_bytes: number
  /** What one batch takes up with its records uncompressed, and what is uncompressed of one answer to a fetch. */
  readonly decoded_bytes: number
  /**
   * Of a batch that can't be read, kept for the quarantine topic: it must fit into a topic that takes what brokers do
   * by default.
   */
  readonly unreadable_bytes: number
  /** How long another producer's transaction may stay open, and readers wait behind it, until it is logged. */
  readonly open_transaction_ms: number
  /** Between two signs of life to a consumer group: it is also how soon a member learns that the group rebalances. */
  readonly heartbeat_ms: number
  /** Without a sign of life for this time a member has lost its partitions. */
  readonly session_timeout_ms: number
  /** How long a rebalancing group waits for a member to join again. */
  readonly rebalance_timeout_ms: number
  /** For what is under way when the log closes. */
  readonly close_timeout_ms: number
}

/** The defaults. */
export const kafkaLimits: KafkaLimits = {
  ...chunkLimits,
  partitions: 4,
  retention_bytes: 1024 * 1024 * 1024,
  retention_age_ms: 7 * 24 * 60 * 60 * 1000,
  segment_age_ms: 24 * 60 * 60 * 1000,
  message_bytes: 8 * 1024 * 1024,
  message_min_bytes: 512 * 1024,
  note_keep_ms: 10 * 365 * 24 * 60 * 60 * 1000,
  topics_every_ms: 5_000,
  refusal_ms: 60_000,
  connect_timeout_ms: 3_000,
  answer_timeout_ms: 3_000,
  request_timeout_ms: 10_000,
  question_timeout_ms: 5_000,
  retry_min_ms: 20,
  retry_max_ms: 1_000,
  publish_queue_bytes: 64 * 1024 * 1024,
  batch_bytes: 1024 * 1024,
  produce_bytes: 4 * 1024 * 1024,
  produce_requests: 2,
  delivery_timeout_ms: 120_000,
  fetch_wait_ms: 100,
  fetch_hurry_ms: 5,
  fetch_bytes: 8 * 1024 * 1024,
  read_ahead_bytes: 2 * 1024 * 1024,
  decoded_bytes: 32 * 1024 * 1024,
  unreadable_bytes: 512 * 1024,
  open_transaction_ms: 10_000,
  heartbeat_ms: 500,
  session_timeout_ms: 10_000,
  rebalance_timeout_ms: 15_000,
  close_timeout_ms: 3_000,
}

/** Calls of one handler that an HTTP service has. */
export interface HttpHandlerLimits {
  /** Calls under way, each on a connection of its own. Beyond: the next waits, within the time of its event. */
  readonly calls_at_once: number
  /** How long one call may take, to the end of its answer. Beyond: it is given up and made again. */
  readonly call_timeout_ms: number
  /**
   * How long an event may take, with all its calls and the waits between them. Beyond: its result is the last failure.
   * It must be shorter than the handler may take (`handler_timeout_ms`), which says less about what was wrong.
   */
  readonly event_timeout_ms: number
  /** Between a failure and the next call; doubles each time up to the maximum. */
  readonly retry_min_ms: number
  readonly retry_max_ms: number
  /** The body of an answer, uncompressed. Beyond: no more of it is read, and the result is an error. */
  readonly answer_bytes: number
}

/** The defaults. */
export const httpHandlerLimits: HttpHandlerLimits = {
  calls_at_once: 64,
  call_timeout_ms: 5_000,
  event_timeout_ms: 9_500,
  retry_min_ms: 100,
  retry_max_ms: 2_000,
  answer_bytes: 1024 * 1024,
}
