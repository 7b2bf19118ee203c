/**
 * Every bound of this package: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | lmdb: tables | opening another table fails with `StorageUnavailable` |
 * | log: retention | the oldest blocks are removed, and a reader that was there continues at the earliest block that is left |
 * | log: drop | the remaining blocks are dropped the next time |
 * | mailbox: block | a new block begins; a larger record gets a block of its own |
 * | mailbox: merge | an append begins a new block |
 * | mailbox: ack delay, acks waiting | the acks are written; a crash before that loses only the trimming |
 * | mailbox: clients in a step | the other clients follow in another step, after other work |
 * | start: attempts | none: the process waits until the service is available, and logs one line a minute |
 * | redis: reply, connect | the connection is closed and opened again; the commands that waited for it fail |
 * | redis: presences, clients in a step | the others follow in another step, after other commands |
 * | redis: broadcasts in the stream | the oldest are removed |
 * | redis: memory | writes fail (`noeviction`) until acks, which are always allowed, have freed memory; known clients continue meanwhile |
 * | kafka: publish queue | a publish fails with `LogUnavailable`, and may be retried |
 * | kafka: batch, produce, fetch, requests | the rest is sent with the next request |
 * | kafka: message | a larger publish fails with `LogRefused`, because it can't be written in one piece |
 * | kafka: delivery, question | the operation fails with `LogUnavailable`, and may be retried |
 * | kafka: read ahead | nothing more is fetched until the reader has taken records |
 * | kafka: decoded | a larger batch can't be read, and goes to quarantine; batches that are larger together are decoded one after another |
 * | kafka: unreadable | the remaining bytes of the batch are left out, and the record says so |
 * | kafka: open transaction | it is logged, repeatedly while it lasts; readers wait for it |
 * | kafka: session | the group assigns the partitions to others, and notifies their previous owner |
 * | kafka: close | what still waits fails; a group that the member could not leave notices it after the session timeout |
 * | postgres: connections | the next query waits for one |
 * | postgres: statement | the statement and its transaction fail, and may be retried |
 * | pglite: close | the process ends it, and it recovers at the next start |
 * | dynamodb: requests, items | the others wait until one has ended |
 * | dynamodb: item | the record is refused, because it can't be written |
 * | dynamodb: unprocessed | the write fails, and may be retried |
 * | postgres: clients, records in a step | the others follow in the next step |
 * | HTTP handler: calls at once | further events of its name wait (`at_once`) |
 * | HTTP handler: call, event | the call is made again; the event fails with `HANDLER_TIMEOUT` |
 * | HTTP handler: answer | the event fails with `HTTP_HANDLER_ANSWER_INVALID` |
 * | connect hook: calls at once | further logins wait for one to end, within the time of their own |
 * | connect hook: call | the login fails with `AUTH_UNAVAILABLE` |
 * | connect hook: answer | the login fails with `AUTH_UNAVAILABLE`, and the log says so |
 * | tokens: token, claims, capabilities | the token is refused with `TOKEN_INVALID` |
 * | tokens: seen tokens | the oldest is forgotten, and its signature is checked again when it comes again |
 * | tokens: keys stale | new logins are refused with `AUTH_UNAVAILABLE` until the issuer answers; sessions go on |
 * | tokens: unknown key pause | a token of a key that no answer has shown to be absent is refused with `AUTH_UNAVAILABLE` |
 * | tokens: keys, answer, fetch | the answer counts as none, and is logged |
 */
import { type ChunkLimits, chunkLimits } from "@nimbus/domain/limits"

/** Bounds of one LMDB environment. */
export const lmdbLimits = {
  /** The number of named tables in one environment. */
  tables: 32,
}

/** The bounds of the log on LMDB. */
export const lmdbLogLimits = {
  /** The partition count of each topic, for a new log. */
  partitions: 4,
  /** How much, and for how long, each partition of a topic keeps, unless the topic has a retention of its own. */
  retention_bytes: 1024 * 1024 * 1024,
  retention_age_ms: 7 * 24 * 60 * 60 * 1000,
  /** The number of blocks of one partition that are dropped in one step. */
  drop_blocks: 4_096,
}

/** The bounds of the mailboxes on LMDB. */
export interface MailboxStorageLimits {
  /** The records of a mailbox are stored and read in blocks of up to this size. */
  readonly block_bytes: number
  /** Records are appended to the last block of a mailbox until it has this size. */
  readonly merge_bytes: number
  /** The longest time before an ack is written. */
  readonly ack_delay_ms: number
  /** The number of clients with an ack that is not written yet. Beyond: the next ack waits until there are fewer. */
  readonly waiting_acks: number
  /** The number of clients whose acks are written, or whose age is checked, in one step of this thread. */
  readonly step_clients: number
}

/**
 * A mailbox records that its client is connected once in this fraction of the time after which an idle mailbox is
 * forgotten.
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

/** The bounds of waiting for a service that is not available yet. */
export const startLimits = {
  /** The time between the first two attempts. It doubles each time, up to the maximum. */
  attempt_min_ms: 100,
  attempt_max_ms: 5_000,
}

/** The bounds of a connection to Redis. */
export interface RedisLimits {
  /** How long opening a connection may take. */
  readonly connect_timeout_ms: number
  /** How long Redis may send nothing while a reply is due. */
  readonly reply_timeout_ms: number
  /** The time between two attempts to reconnect. It doubles each time, up to the maximum. */
  readonly reconnect_min_ms: number
  readonly reconnect_max_ms: number
  /** The interval at which a connection that only subscribes is pinged, and the slots of a cluster are read. */
  readonly ping_every_ms: number
  /** The interval at which the settings of Redis are checked, and whether it accepts writes. */
  readonly watch_every_ms: number
  /** The shortest time between two such checks, even if many commands are refused. */
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

/** The bounds of the registry in Redis. */
export const redisRegistryLimits = {
  /** The number of presences written, or clients read, in one step of Redis, during which it does nothing else. */
  step_clients: 512,
  /** The number of entries that are read at a time when all are read. */
  scan_entries: 1_000,
  /** The interval at which entries are forgotten that were not written for `NIMBUS_IDLE_DAYS`. */
  turn_every_ms: 60 * 60 * 1000,
}

/** The bounds of the offsets of direct delivery in Redis. */
export const redisOffsetsLimits = {
  /** How long after the last write a client is forgotten. The log no longer has its results by then. */
  offset_ttl_ms: 7 * 24 * 60 * 60 * 1000,
  /** The number of scripts in flight for one chunk. Beyond: the next ones wait. */
  saves_at_once: 256,
}

/** The bounds of the notes that processes leave in Redis for each other. */
export const redisNoteLimits = {
  /**
   * The interval at which notes are written again, because Redis may have lost them: the channel to which a pod
   * listens, and the store that keeps the mailboxes.
   */
  note_every_ms: 5_000,
  /** The number of pods whose channels a process remembers. Beyond: it forgets all of them, and reads them again. */
  known_pods: 10_000,
}

/** The bounds of the broadcasts of the chat, in a stream in Redis. */
export const redisBroadcastLimits = {
  /** About how many the stream keeps. A gateway that was cut off for longer misses the older ones. */
  stream_entries: 10_000,
  /** How long a read waits in Redis for the next entry. */
  block_ms: 2_000,
}

/** The bounds of the mailboxes in Redis. */
export interface RedisMailboxLimits {
  /**
   * The records of a mailbox are stored and read in blocks of up to this size. A late record makes its block larger.
   */
  readonly block_bytes: number
  /** Records are appended to the last block of a mailbox until it has this size. */
  readonly merge_bytes: number
  /**
   * The number of clients whose acks are written, or that are checked, in one step of Redis, during which it does
   * nothing else.
   */
  readonly step_clients: number
}

/** The defaults. */
export const redisMailboxLimits: RedisMailboxLimits = {
  block_bytes: 16 * 1024,
  merge_bytes: 1024,
  step_clients: 256,
}

/** The bounds of a connection to PostgreSQL. */
export const postgresLimits = {
  /** The number of connections of one process. */
  connections: 8,
  /** How long opening a connection may take. */
  connect_timeout_ms: 5_000,
  /** How long a statement may take, and how long a transaction may wait for its next statement. */
  statement_timeout_ms: 30_000,
}

/** The bounds of the mailboxes in PostgreSQL. */
export interface PostgresMailboxLimits {
  /** The number of mailboxes that one call of `expire` checks. The next call checks the next ones. */
  readonly idle_clients: number
  /** The number of clients whose acks are written, or whose age is checked, in one transaction. */
  readonly step_clients: number
  /** The number of records of a mailbox that are read at a time to remove its oldest. */
  readonly remove_records: number
}

/** The defaults. */
export const postgresMailboxLimits: PostgresMailboxLimits = {
  idle_clients: 10_000,
  step_clients: 1_000,
  remove_records: 1_000,
}

/** The bounds of PGlite, which is PostgreSQL in this process. */
export const pgliteLimits = {
  /** The size of the pages of tables that it keeps in memory. */
  shared_buffers_bytes: 8 * 1024 * 1024,
  /** The size of the pages of its write-ahead log that it keeps in memory. */
  wal_buffers_bytes: 1024 * 1024,
  /** The size of the write-ahead log on disk. Beyond: a checkpoint. */
  max_wal_bytes: 64 * 1024 * 1024,
  /** How long a reader waits for a page, including the time to open the database. Beyond: `ArchiveUnavailable`. */
  page_timeout_ms: 30_000,
  /** How long closing may take. Beyond: it is ended, as by a crash. */
  close_timeout_ms: 5_000,
}

/** The bounds of the archive in DynamoDB. */
export const dynamoLimits = {
  /** The number of batch requests in flight for one write. */
  requests: 8,
  /** The number of items in one batch request. DynamoDB accepts no more. */
  request_items: 25,
  /** The size of an item. DynamoDB accepts no more. */
  item_bytes: 400 * 1024,
  /** If an item is larger than this, each request carries one item. */
  large_item_bytes: 100 * 1024,
  /** How often the items that a batch request left unprocessed are sent, including the first time. */
  unprocessed_attempts: 10,
  /** The wait before unprocessed items are sent again. It doubles each time, up to the maximum. */
  backoff_min_ms: 20,
  backoff_max_ms: 2_000,
  /** How often the AWS SDK tries a request. */
  attempts: 3,
  /** How long opening a connection may take. */
  connect_timeout_ms: 5_000,
  /** How long a request may take. */
  request_timeout_ms: 15_000,
  /** The interval at which a new table is checked until it can be used. */
  table_poll_ms: 250,
}

/** The bounds of the log on Kafka. */
export interface KafkaLimits extends ChunkLimits {
  /** The size of one chunk that is read. */
  readonly chunk_records: number
  readonly chunk_bytes: number
  /** The partition count of topics that are created. */
  readonly partitions: number
  /** How much, and for how long, each partition of a topic that is created keeps. */
  readonly retention_bytes: number
  readonly retention_age_ms: number
  /** The longest time that one segment covers, for topics that are created. Kafka removes whole segments. */
  readonly segment_age_ms: number
  /** The largest batch that topics accept, for topics that are created. */
  readonly message_bytes: number
  /** The smallest `max.message.bytes` of a topic with which a process starts. */
  readonly message_min_bytes: number
  /** How long Kafka keeps the note of the incarnation of the topics. It is written again at each start. */
  readonly note_keep_ms: number
  /** The interval at which the topics and their settings are checked. */
  readonly topics_every_ms: number
  /** How long after its last occurrence a permanent refusal of Kafka counts as present. */
  readonly refusal_ms: number
  /** How long opening a connection may take, including its authentication. */
  readonly connect_timeout_ms: number
  /**
   * How long a broker may take for a request that it can answer immediately. Beyond this bound, and the next two, the
   * connection is replaced.
   */
  readonly answer_timeout_ms: number
  /** How long writing records to all replicas, or creating topics, may take. */
  readonly request_timeout_ms: number
  /** How long a request for offsets, a commit, or a fetch of existing records may take. */
  readonly question_timeout_ms: number
  /** The time between a failure and the next attempt. It doubles each time, up to the maximum. */
  readonly retry_min_ms: number
  readonly retry_max_ms: number
  /** The size of the records that wait to be written. */
  readonly publish_queue_bytes: number
  /** The size of the publishes to one partition that are written as one batch. A single publish may be larger. */
  readonly batch_bytes: number
  /** The size of the batches of several partitions in one request. */
  readonly produce_bytes: number
  /** The number of produce requests in flight to one broker. Meanwhile the next ones collect records. */
  readonly produce_requests: number
  /** How long a publish may take, including all retries. */
  readonly delivery_timeout_ms: number
  /** How long a broker holds a fetch for which it has no records. It returns new records immediately. */
  readonly fetch_wait_ms: number
  /**
   * How long a broker holds such a fetch while a reader is left out because its buffer is full: it may have room at any
   * moment.
   */
  readonly fetch_hurry_ms: number
  /** The size of the response to one fetch. */
  readonly fetch_bytes: number
  /** The size of what is fetched for one reader and not taken yet. One response may exceed it. */
  readonly read_ahead_bytes: number
  /** The size of one batch with its records decompressed, and of what is decompressed at a time of one response. */
  readonly decoded_bytes: number
  /**
   * How much of a batch that can't be read is kept for the quarantine topic. It must fit into a topic with the default
   * `max.message.bytes`.
   */
  readonly unreadable_bytes: number
  /** How long a transaction of another producer may stay open, with readers waiting for it, before it is logged. */
  readonly open_transaction_ms: number
  /** The interval of heartbeats to a consumer group, and how soon a member learns that the group rebalances. */
  readonly heartbeat_ms: number
  /** A member without a heartbeat for this time loses its partitions. */
  readonly session_timeout_ms: number
  /** How long a group that rebalances waits for a member to join again. */
  readonly rebalance_timeout_ms: number
  /** How long closing the log waits for what is in flight. */
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
  /** Calls under way in one process, each on a connection of its own. Beyond: further events of its name wait (`at_once`). */
  readonly calls_at_once: number
  /** How long one call may take, to the end of its answer. Beyond: it is given up and made again. */
  readonly call_timeout_ms: number
  /**
   * How long an event may take, with all its calls and the waits between them. Beyond: its result is `HANDLER_TIMEOUT`,
   * and the log has the failures.
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

/** Tasks that HTTP services have. */
export interface HttpTaskLimits {
  /** Calls under way in one process, each on a connection of its own. Beyond: further tasks of its name wait (`at_once`). */
  readonly calls_at_once: number
  /** How long an attempt may take, to the end of its answer. Beyond: the task ends with `HANDLER_TIMEOUT`. */
  readonly task_timeout_ms: number
  /** How long until an answer begins. Beyond: the attempt has failed, and the next one follows. */
  readonly begin_timeout_ms: number
  /** How long an answer may be silent; a comment of an event stream is enough. Beyond: the attempt has failed. */
  readonly silence_timeout_ms: number
  /** Between a failure and the next attempt; doubles each time up to the maximum. */
  readonly retry_min_ms: number
  readonly retry_max_ms: number
  /** A line, or an event. Beyond: no more is read, and the task ends with an error. */
  readonly part_bytes: number
  /** An answer with all of its parts, uncompressed. Beyond: no more is read, and the task ends with an error. */
  readonly parts_bytes: number
}

/** The defaults. */
export const httpTaskLimits: HttpTaskLimits = {
  calls_at_once: 64,
  task_timeout_ms: 3_600_000,
  begin_timeout_ms: 60_000,
  silence_timeout_ms: 60_000,
  retry_min_ms: 2_000,
  retry_max_ms: 30_000,
  part_bytes: 1024 * 1024,
  parts_bytes: 64 * 1024 * 1024,
}

/** Calls of the hook that is asked who connects. */
export interface ConnectHookLimits {
  /** Calls under way in one process. Beyond: further ones wait. */
  readonly calls_at_once: number
  /** How long a login may wait for the hook, with what it waits for others. Beyond: it fails. */
  readonly call_timeout_ms: number
  /** The body of an answer, uncompressed. Beyond: it is none. */
  readonly answer_bytes: number
  /** How long a session lasts of which the hook says no end, where no token says one. */
  readonly session_s: number
}

/** The defaults. */
export const connectHookLimits: ConnectHookLimits = {
  calls_at_once: 64,
  call_timeout_ms: 3_000,
  answer_bytes: 64 * 1024,
  session_s: 3_600,
}

/** Tokens, and the keys that check them. */
export interface TokenLimits {
  /** A token. Beyond: it is refused. */
  readonly token_bytes: number
  /** Tokens that are remembered to be right, to check no signature again. Beyond: the oldest is forgotten. */
  readonly seen_tokens: number
  /** How far the clock of an issuer may be from ours. */
  readonly skew_s: number
  /** The claims that handlers get, as JSON: they are in the header of each event's record. Beyond: the token is refused. */
  readonly claims_bytes: number
  /** Capabilities of one subject, with those of the rules. Beyond: the token is refused. */
  readonly capabilities: number
  /** How often an issuer is asked for its keys; within this time a removed key ends its sessions. */
  readonly keys_refresh_ms: number
  /** The same of a file with keys or rules. */
  readonly file_refresh_ms: number
  /** How long keys count after the issuer was last reached. Beyond: new logins fail until it is reached again. */
  readonly keys_stale_ms: number
  /** An unknown key is asked for at most so often. */
  readonly unknown_key_pause_ms: number
  /** Unknown keys that are remembered to be absent. Beyond: they are forgotten. */
  readonly absent_keys: number
  /** How long a question may take, discovery and keys together. Beyond: it has failed. */
  readonly fetch_timeout_ms: number
  /** The wait after a failed question. It doubles each time, up to the maximum. */
  readonly fetch_min_ms: number
  readonly fetch_max_ms: number
  /** An answer, uncompressed. Beyond: it counts as none. */
  readonly answer_bytes: number
  /** Keys of one issuer. Beyond: the answer counts as none. */
  readonly keys: number
}

/** The defaults. */
export const tokenLimits: TokenLimits = {
  token_bytes: 16 * 1024,
  seen_tokens: 4_096,
  skew_s: 60,
  claims_bytes: 4 * 1024,
  capabilities: 1_024,
  keys_refresh_ms: 120_000,
  file_refresh_ms: 10_000,
  keys_stale_ms: 3_600_000,
  unknown_key_pause_ms: 5_000,
  absent_keys: 1_024,
  fetch_timeout_ms: 5_000,
  fetch_min_ms: 1_000,
  fetch_max_ms: 30_000,
  answer_bytes: 256 * 1024,
  keys: 64,
}
