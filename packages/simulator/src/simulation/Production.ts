/**
 * What is simulated: the production code, handed in, for this package knows neither gateways nor pipelines nor clients.
 */
import type {
  EventOrderLimits,
  MailboxLimits,
  RepeatLimits,
  RouterLimits,
  SessionLimits,
  TaskLimits,
  TaskQueueLimits,
} from "@nimbus/domain/limits"
import type { ClientId, Cursor, Epoch, Item, PodId } from "@nimbus/domain/protocol"
import type {
  AckChannel,
  ClientOffsets,
  EventLog,
  Handlers,
  Mailbox,
  PodChannel,
  Registry,
  Topics,
} from "@nimbus/domain/services"
import type { Effect, Layer, Scope } from "effect"
import type { End } from "./Network.ts"

export type Services = EventLog | Topics | Mailbox | ClientOffsets | Registry | PodChannel | AckChannel | Handlers

export const roles = ["event-consumer", "result-consumer", "replay-consumer", "status-manager", "task-worker"] as const
export type Role = (typeof roles)[number]

/** The bounds that a run sets; those not named here are the defaults, or such that things happen soon. */
export interface SimulatedLimits {
  readonly session: SessionLimits
  readonly router: RouterLimits
  readonly mailbox: MailboxLimits
  readonly order: Omit<EventOrderLimits, "handlers_at_once">
  readonly repeats: RepeatLimits
  readonly unknown_event_wait_ms: number
  readonly tasks: TaskLimits
  readonly taskQueue: TaskQueueLimits
  readonly taskWorker: {
    readonly task_buffer_parts: number
    readonly kept_bytes: number
    readonly readers_at_once: number
    readonly begun_wait_ms: number
    readonly revoked_wait_ms: number
  }
  /** Of one produce request of the pipeline, in records. */
  readonly chunk_records: number
  readonly shelf_records: number
  readonly outstanding_records: number
  readonly unhurried_results: number
  readonly intake_bytes: number
  readonly client_unanswered_events: number
  readonly socket_buffer_bytes: number
  readonly sweep_ms: number
  readonly lease_ms: number
  readonly barriers_again_per_tick: number
  readonly late_steps: number
  /** Of direct delivery: the newest results of a partition. */
  readonly direct_recent_bytes: number
  readonly client: {
    readonly window_events: number
    readonly waiting_notices: number
    readonly doubtful_ids: number
    readonly cancels: number
  }
}

export interface Production {
  /** One role of the pipeline, as long as the layer lives. */
  readonly role: (role: Role, process: string, limits: SimulatedLimits) => Layer.Layer<never, unknown, Services>
  /** A gateway with its transport. */
  readonly gateway: (options: GatewayOptions) => Effect.Effect<never, unknown, Services | Scope.Scope>
  /** A client, with a memory of its own that is empty. */
  readonly client: () => Client
}

export interface Client {
  readonly disk: Disk
  /** One life: sends what its application wants and shows it what comes, until it has to stop. */
  readonly live: (options: ClientOptions) => Effect.Effect<never, unknown, Scope.Scope>
}

export interface GatewayOptions {
  readonly pod: PodId
  readonly limits: SimulatedLimits
  /** From now on connections come to `accept`; the answer stops it. */
  readonly listen: (accept: (end: End, url: string) => void) => () => void
  /** A transport was opened for this client: tells what becomes of it. */
  readonly watch: (clientId: ClientId, isDirect: boolean) => SessionWatcher
}

/** What will not come: what was after `after` up to `upTo`; without, some of what the log has by now. */
export interface Loss {
  readonly after: number
  readonly upTo: number | undefined
}

/** What a transport tells of its one session. */
export interface SessionWatcher {
  /** Everything up to `after` counts as received. */
  welcomed(epoch: Epoch, after: Cursor): void
  delivered(items: ReadonlyArray<Item>): void
  acknowledged(seq: Cursor): void
  status(status: string): void
  lost(loss: Loss): void
  closed(): void
}

/** What is safe in a client's memory when its process dies. */
export interface Disk {
  /** Its application is done with everything up to here. */
  readonly last: Cursor
  /** The numbers of the events that were ever saved to be sent. */
  readonly sent: ReadonlySet<number>
}

export interface ClientOptions {
  readonly clientId: ClientId
  readonly limits: SimulatedLimits
  readonly url: string
  /** Changes the disk, in a little while. */
  readonly save: (change: () => void) => Effect.Effect<void>
  readonly dial: (url: string, answer: (end: End | undefined) => void) => () => void
  readonly application: Application
}

/** An event of a client: its `n`th, from 1. */
export interface Sending {
  readonly n: number
  readonly name: string
  /** The id, where the application chooses it. */
  readonly id: string | undefined
}

/** A result as it was shown. */
export interface Shown {
  readonly seq: number
  readonly id: string
  readonly data: unknown
}

export const isLoss = (delivery: Shown | Loss): delivery is Loss => "after" in delivery

export interface Application {
  /** What is to be sent now; waits for it. */
  readonly next: Effect.Effect<ReadonlyArray<Sending>>
  accepted(events: ReadonlyArray<Sending>): void
  /** The id of an event whose task is to be cancelled now; waits for it. */
  readonly nextCancel: Effect.Effect<string>
  /** Something came, or the word that something is lost. The step takes as long as this effect. */
  shown(delivery: Shown | Loss): Effect.Effect<void>
}
