/**
 * Every bound of the system: its name with its unit, its default, and what happens at the bound.
 *
 * | bound | what happens there |
 * | --- | --- |
 * | router: in flight | the client is diverted to its mailbox: safe at any time, and it goes REPLAYING |
 * | session: window | nothing more is delivered until the client acknowledges; pushes are held |
 * | session: held | the push is dropped and nacked; the mailbox has it |
 * | chunk | the next chunk waits: the log is read no faster than its records can be passed on |
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

export const routerLimits: RouterLimits = {
  inflight_results_per_client: 16_384,
  inflight_results: 131_072,
  routes: 200_000,
  ack_timeout_ticks: 20,
}

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

export interface MailboxLimits {
  /** Per client; beyond any of the three the oldest records go, `floor` rises, and the client is told `lost`. */
  readonly mailbox_results: number
  readonly mailbox_bytes: number
  readonly mailbox_age_ms: number
}

export const mailboxLimits: MailboxLimits = {
  mailbox_results: 1_000_000,
  mailbox_bytes: 256 * 1024 * 1024,
  mailbox_age_ms: 7 * 24 * 60 * 60 * 1000,
}

/** The most that one read of the log gives, and one produce request carries. */
export interface ChunkLimits {
  readonly chunk_records: number
  readonly chunk_bytes: number
}

export const chunkLimits: ChunkLimits = { chunk_records: 4_096, chunk_bytes: 1024 * 1024 }
