/**
 * Every bound of the SDK: its name with its unit, its default, and what happens there.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | window of events | `send` suspends until the gateway has accepted an earlier one |
 * | window of results | the gateway's own (`welcome`) is kept by not acknowledging; a gateway that sends more is cut off and resumed |
 * | doubtful ids | the oldest is forgotten: a still later repeat of its answer would be shown again |
 * | frames, bytes waiting in the transport | in: the connection is cut and resumed; out: the writer waits |
 * | reconnects | they slow down to one in `reconnect_max_ms`; after `reconnect_attempts` the client fails |
 */
export interface ClientLimits {
  /** Events sent and not yet accepted, over all reconnects. Beyond: `send` suspends. */
  readonly window_events: number
  /** Results waiting for the consumer at most, should a gateway's own window be larger. Beyond: cut off and resume. */
  readonly window_results: number
  /** Notices (`lost`) waiting for the consumer beside the results. Beyond: cut off and resume. */
  readonly waiting_notices: number
  /** Ids of which the log may hold two events. Beyond: the oldest is forgotten. See `Memory.ts`. */
  readonly doubtful_ids: number
  /** Frames that came in and are not yet read. Beyond: the connection is cut, nothing read is lost. */
  readonly unread_frames: number
  /** Bytes given to the socket and not yet taken by the network. Beyond: the writer waits. */
  readonly unsent_bytes: number
  /** From the call to `welcome`. Beyond: the attempt has failed. */
  readonly connect_timeout_ms: number
  /** A quiet connection is asked for a sign of life after this, and given up after twice this. */
  readonly heartbeat_ms: number
  /** The first delay of a reconnect; doubles each time up to the maximum, of which a random half is taken off. */
  readonly reconnect_min_ms: number
  readonly reconnect_max_ms: number
  /** Attempts in a row without a connection that lasted. Beyond: the client fails with `Unreachable`. Infinity: never. */
  readonly reconnect_attempts: number
  /** So long after a connection broke a newer one may be that one, of which the gateway learned late: the client comes back once. */
  readonly superseded_doubt_ms: number
  /** A gateway that is leaving sends everyone away at once: they come back spread over this. */
  readonly retry_jitter_ms: number
  /** What is left to save and to acknowledge on closing gets this long. Beyond: results come again next time. */
  readonly close_timeout_ms: number
}

/** The defaults. */
export const clientLimits: ClientLimits = {
  window_events: 1_024,
  window_results: 131_072,
  waiting_notices: 64,
  doubtful_ids: 16_384,
  unread_frames: 16_384,
  unsent_bytes: 1024 * 1024,
  connect_timeout_ms: 10_000,
  heartbeat_ms: 15_000,
  reconnect_min_ms: 100,
  reconnect_max_ms: 5_000,
  reconnect_attempts: Number.POSITIVE_INFINITY,
  superseded_doubt_ms: 60_000,
  retry_jitter_ms: 2_000,
  close_timeout_ms: 1_000,
}
