/**
 * Every bound of the SDK: its name with its unit, its default, and what happens there.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | window of events | `send` suspends until the gateway has accepted an earlier one |
 * | window of results | the client acknowledges nothing, so that the window of the gateway (`welcome`) fills; if a gateway sends more, the client reconnects and resumes |
 * | doubtful ids | the oldest is forgotten: a repeat of its result beyond the window of the pipeline would be delivered again |
 * | parts of tasks | the oldest tasks that have ended and that nobody reads are forgotten, then parts that were read, then those that nobody reads; parts that a stream has still to read are not acknowledged, so that the window fills |
 * | tasks | the oldest one that nobody reads is forgotten |
 * | cancels | the oldest is forgotten: it may not reach its task |
 * | frames, bytes waiting in the transport | in: the client reconnects and resumes; out: the writer waits |
 * | reconnects | at most one per `reconnect_max_ms`; after `reconnect_attempts` the client fails |
 */
export interface ClientLimits {
  /** Events sent and not accepted, across reconnects. Beyond: `send` suspends. */
  readonly window_events: number
  /** Results that wait for the consumer, if the window of the gateway is larger. Beyond: reconnect and resume. */
  readonly window_results: number
  /** Notices (`lost`) that wait for the consumer, in addition to results. Beyond: reconnect and resume. */
  readonly waiting_notices: number
  /**
   * Ids of which the log may have two events. Beyond: the oldest is forgotten, and a copy of it is detected only within
   * `dedupe_records` of the pipeline. See `Memory.ts`.
   */
  readonly doubtful_ids: number
  /**
   * UTF-16 code units of the JSON of all parts that are kept of streamed tasks, so that streams can be resumed. Beyond, parts
   * are forgotten that can be spared (`Tasks.ts`), and one that can't is not acknowledged.
   */
  readonly task_chars: number
  /** Streamed tasks that are kept, with those that have ended. Beyond: the oldest one that nobody reads is forgotten. */
  readonly tasks: number
  /** Cancels that no gateway has confirmed. Beyond: the oldest is forgotten. */
  readonly cancels: number
  /** Frames that were received and not read. Beyond: the connection is closed; what was read is not lost. */
  readonly unread_frames: number
  /** Bytes that the socket has and has not sent. Beyond: the writer waits. */
  readonly unsent_bytes: number
  /** How long `token` may take. Beyond: the attempt has failed, and the next one asks again. */
  readonly token_timeout_ms: number
  /** How long a token is used again for the next connections, unless the gateway refuses it. Beyond: `token` is asked. */
  readonly token_reuse_ms: number
  /** How long a connection may take until `welcome`. Beyond: the attempt has failed. */
  readonly connect_timeout_ms: number
  /** How long a connection may be silent before the client sends a ping. After twice this time it is closed. */
  readonly heartbeat_ms: number
  /** The first delay of a reconnect. It doubles up to the maximum. A random part, at most half, is subtracted. */
  readonly reconnect_min_ms: number
  readonly reconnect_max_ms: number
  /** Attempts in a row without a lasting connection. Beyond: the client fails with `Unreachable`. Infinity: never. */
  readonly reconnect_attempts: number
  /**
   * How long after a broken connection the client reconnects once if it is superseded. The newer connection may be its own
   * earlier attempt, which the gateway learned of late.
   */
  readonly superseded_doubt_ms: number
  /** A gateway that shuts down closes all connections at once. Their clients reconnect after a random part of this time. */
  readonly retry_jitter_ms: number
  /** How long the client may save and acknowledge when it closes. Beyond: results are delivered again next time. */
  readonly close_timeout_ms: number
}

/** The defaults. */
export const clientLimits: ClientLimits = {
  window_events: 1_024,
  window_results: 131_072,
  waiting_notices: 64,
  doubtful_ids: 4_096,
  task_chars: 131_072,
  tasks: 128,
  cancels: 1_024,
  unread_frames: 16_384,
  unsent_bytes: 1024 * 1024,
  token_timeout_ms: 10_000,
  token_reuse_ms: 30_000,
  connect_timeout_ms: 10_000,
  heartbeat_ms: 15_000,
  reconnect_min_ms: 100,
  reconnect_max_ms: 5_000,
  reconnect_attempts: Number.POSITIVE_INFINITY,
  superseded_doubt_ms: 60_000,
  retry_jitter_ms: 2_000,
  close_timeout_ms: 1_000,
}
