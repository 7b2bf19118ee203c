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
 */
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

export const mailboxStorageLimits: MailboxStorageLimits = {
  block_bytes: 16 * 1024,
  merge_bytes: 1024,
  ack_delay_ms: 50,
  waiting_acks: 65_536,
  step_clients: 256,
}
