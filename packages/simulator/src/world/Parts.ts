/** What the workers, gateways and clients of a world share. */
import type { EventOrderLimits, MailboxLimits, RouterLimits, SessionLimits } from "@nimbus/domain/limits"
import { type AckMessage, type ClientId, type Cursor, type StepsShape, unwatched } from "@nimbus/domain/protocol"
import type { Presence } from "@nimbus/domain/services"
import { Channel } from "./Channel.ts"
import type { BarrierOf, Fact } from "./Facts.ts"
import { PodChannels } from "./PodChannels.ts"
import { type Observe, unobserved } from "./Observation.ts"
import { MailboxStore, RegistryStore } from "./Stores.ts"
import { Topic } from "./Topic.ts"

/** What happened, in words, or `undefined` where there was nothing to do. */
export type Did = string | undefined

export interface WorldLimits {
  readonly order: EventOrderLimits
  readonly router: RouterLimits
  readonly session: SessionLimits
  readonly mailbox: MailboxLimits
  /** Frames that wait in a socket. Beyond: the transport stalls the session. */
  readonly socket_frames: number
}

export interface Parts {
  readonly limits: WorldLimits
  readonly events: Topic<Fact>
  readonly results: Topic<Uint8Array>
  readonly dlq: Topic<Uint8Array>
  readonly pods: PodChannels
  readonly acks: Channel<AckMessage>
  /** Barriers on their way to the events topic. */
  readonly barriers: Channel<BarrierOf>
  /** Acks on their way to the mailboxes. */
  readonly trims: Channel<{ readonly clientId: ClientId; readonly seq: Cursor }>
  /** Sessions on their way to the registry. */
  readonly presences: Channel<{ readonly presence: Presence; readonly refused: () => void }>
  readonly mailbox: MailboxStore
  readonly registry: RegistryStore
  readonly observe: Observe
  readonly steps: StepsShape
}

export const makeParts = (
  limits: WorldLimits,
  observe: Observe = unobserved,
  steps: StepsShape = unwatched,
): Parts => ({
  limits,
  events: new Topic(),
  results: new Topic(),
  dlq: new Topic(),
  pods: new PodChannels(),
  acks: new Channel(),
  barriers: new Channel(),
  trims: new Channel(),
  presences: new Channel(),
  mailbox: new MailboxStore(limits.mailbox, observe),
  registry: new RegistryStore(observe),
  observe,
  steps,
})

/** So small that every bound is met within a few records. */
export const tightLimits: WorldLimits = {
  order: {
    handlers_at_once: 2,
    subject_share: 1,
    partition_records: 6,
    partition_bytes: 1_000_000,
    client_records: 1,
    client_bytes: 1_000_000,
    span_records: 12,
  },
  router: { inflight_results_per_client: 3, inflight_results: 4, routes: 2, ack_timeout_ticks: 3 },
  session: {
    window_results: 2,
    window_bytes: 1024,
    held_results: 2,
    held_bytes: 1024,
    page_results: 2,
    page_bytes: 1024,
    read_every_ticks: 2,
    barrier_timeout_ticks: 3,
    barrier_timeout_max_ticks: 12,
  },
  mailbox: { mailbox_results: 1_000, mailbox_bytes: 1_000_000, mailbox_age_ms: 1_000_000, mailbox_idle_ms: Infinity },
  socket_frames: 4,
}
