/** Every bound of the page, with its unit: whatever comes, it keeps and asks for no more than this. */
export const pageLimits = {
  /** Pulses kept for the charts: five minutes of them. Beyond: the oldest is forgotten. */
  pulses: 300,
  /** No picture for this long: the connection counts as broken, and another is opened. */
  silence_ms: 5_000,
  /** The longest pause between two attempts to connect. The first is 250 ms, and each doubles. */
  retry_max_ms: 5_000,
  /** How long typing must rest before another search is asked for. */
  settle_ms: 200,
  /** A mailbox that has not changed for so long does not empty: nothing is said of the time left. */
  stuck_ms: 10_000,
  /** Records of a mailbox that are shown. */
  mailbox_records: 20,
  /** A journey that is not at its end is looked at again, so many times. */
  journey_looks: 30,
  /** Between two such looks. */
  journey_every_ms: 1_000,
  /** Sample clients in one page. Beyond: none is started. */
  samples: 50,
  /** Between two events of a sample client; the next one also waits until the last is accepted. */
  sample_every_ms: 1_000,
  /** Results that a sample client takes: it is slow on purpose, so that a replay lasts long enough to be watched. */
  sample_results_per_s: 3_000,
  /** The longest pause of a sample client that comes back: who has mended its connection wants to see something. */
  sample_reconnect_max_ms: 500,
  /** How long the slow handler of the demo takes. */
  slow_ms: 5_000,
  /** Before each word of the streamed answer of the demo. */
  stream_every_ms: 200,
  /** Between two looks at what the sample clients have counted. */
  sample_refresh_ms: 250,
  /**
   * Messages that the story sends. More than a gateway's window of results, so that the replay outlasts what may be sent
   * unacknowledged.
   */
  mail_messages: 30_000,
  /** In one request. */
  mail_batch_messages: 3_000,
  /** Messages of a room that are shown. Beyond: the oldest is forgotten by the page, not by the room. */
  said: 200,
  /** How long before a token ends the page asks the provider for another one, where it may. */
  renew_before_ms: 60_000,
  /** How long the gateway may take to answer a message of the chat. Beyond: it may have been said or not. */
  answer_timeout_ms: 10_000,
}
