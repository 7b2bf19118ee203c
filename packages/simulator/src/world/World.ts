/**
 * A whole Nimbus of one partition, purely synchronous: production router, session, stores; models of the rest. Nothing
 * happens by itself: whoever drives it (a script, or dice) does one small thing after another, in any order.
 *
 * ```
 *   clients ──▶ events ──▶ EventWorker ──▶ results ──▶ RouterWorker ──▶ backlog ──▶ ReplayWorker ──▶ mailbox
 *      ▲          ▲ barriers                  ▲ acks         │ pushes                 │ mail        │ pages
 *      └──────────┴────────── gateways ───────┴──────────────┴────────────────────────┴─────────────┘
 * ```
 */
import { ClientId, PodId, seqUnsafe, type StepsShape } from "@nimbus/domain/protocol"
import type { Committed } from "@nimbus/domain/services"
import { Client } from "./Client.ts"
import type { Connection } from "./Connection.ts"
import { EventWorker } from "./EventWorker.ts"
import type { Observe } from "./Observation.ts"
import { Gateway } from "./Gateway.ts"
import { Group } from "./Group.ts"
import { type Did, makeParts, type Parts, type WorldLimits } from "./Parts.ts"
import { ReplayWorker } from "./ReplayWorker.ts"
import { RouterWorker } from "./RouterWorker.ts"

export interface WorldOptions {
  readonly limits: WorldLimits
  /** For each client, whether it remembers its last seq. They are named c1, c2, … */
  readonly clients: ReadonlyArray<boolean>
  readonly gateways: number
  /** Hears of every small action. Default: nobody does. */
  readonly observe?: Observe
  /** How its shells step their cores. Default: as they are. */
  readonly steps?: StepsShape
}

const max_zombies = 2

/** What a group has committed before it has. */
const nothing: Committed = { next: 0, metadata: "" }

/** When worlds begin, by their own clock. */
export const started_ms = 1_000

export class World {
  readonly parts: Parts
  readonly clients: ReadonlyArray<Client>
  readonly gateways: Array<Gateway> = []
  readonly eventWorkers: Group<EventWorker, Committed>
  readonly routers: Group<RouterWorker, number>
  readonly replays: Group<ReplayWorker, never>
  now_ms = started_ms
  readonly started_ms = started_ms
  private names = 0

  constructor(options: WorldOptions) {
    const parts = makeParts(options.limits, options.observe, options.steps)
    this.parts = parts
    this.clients = options.clients.map((remembers, i) => new Client(ClientId.make(`c${i + 1}`), remembers, parts))
    this.eventWorkers = new Group(new EventWorker(this.name("events"), parts, nothing), max_zombies)
    this.routers = new Group(new RouterWorker(this.name("router"), parts, 0), max_zombies)
    this.replays = new Group(new ReplayWorker(this.name("replay"), parts), max_zombies)
    for (let i = 0; i < options.gateways; i++) this.startGateway(i)
  }

  get connections(): ReadonlyArray<Connection> {
    const all: Array<Connection> = []
    for (const gateway of this.gateways) for (const connection of gateway.open) all.push(connection)
    return all
  }

  /** Whether the gateway of the client's connection holds it still. */
  connectionOf(client: Client): Connection | undefined {
    const { connection } = client
    return connection?.isOpen === true && connection.socket.isOpen ? connection : undefined
  }

  /** Drops whatever socket the client had. */
  connect(client: Client, gateway: Gateway): Did {
    client.drop()
    const { after } = client
    client.connected(gateway.connect(client.id, after, this.now_ms))
    return `${client.id} connects to ${gateway.pod} after ${after}: epoch ${client.connection?.session.epoch}`
  }

  startGateway(skew_ms: number): Gateway {
    const gateway = new Gateway(PodId.make(this.name("pod")), this.parts, skew_ms)
    this.gateways.push(gateway)
    return gateway
  }

  /** Another process, with another id, takes its place. */
  crashGateway(gateway: Gateway, skew_ms: number): Did {
    this.gateways.splice(this.gateways.indexOf(gateway), 1)
    const did = gateway.crash()
    return `${did}, ${this.startGateway(skew_ms).pod} starts`
  }

  /** A new owner from the commit, with or without what was finished above it; the one before lives on. */
  replaceEventWorker(hasMetadata = true): Did {
    const { metadata, next } = this.eventWorkers.committed ?? nothing
    const committed = { next, metadata: hasMetadata ? metadata : "" }
    this.eventWorkers.replace(new EventWorker(this.name("events"), this.parts, committed))
    const { finishedAbove, name } = this.eventWorkers.owner
    return `${name} takes over at event ${next}${finishedAbove === 0 ? "" : `, with ${finishedAbove} finished above`}`
  }

  /** A new owner with empty memory, from the commit; the one before lives on. */
  replaceRouter(): Did {
    const at = this.routers.committed ?? 0
    this.routers.replace(new RouterWorker(this.name("router"), this.parts, at))
    const workers = this.routers.workers.map(({ name }) => name)
    this.parts.observe({ _tag: "TakesOver", worker: this.routers.owner.name, workers })
    return `${this.routers.owner.name} takes over at result ${at}`
  }

  /** A zombie router owns the partition again, and goes on from where it was or from the commit. */
  restoreRouter(zombie: RouterWorker, where: "own position" | "commit"): Did {
    this.routers.restore(zombie)
    if (where === "commit") zombie.seek(this.routers.committed ?? 0)
    this.parts.observe({ _tag: where === "commit" ? "ReturnsCommit" : "ReturnsOwn", worker: zombie.name })
    return `${zombie.name} owns the results again and goes on from result ${zombie.readAt}`
  }

  /** A new owner from the stored offset; the one before lives on. */
  replaceReplay(): Did {
    this.replays.replace(new ReplayWorker(this.name("replay"), this.parts))
    return `${this.replays.owner.name} takes over at dlq ${this.replays.owner.position}`
  }

  commitEvents(worker: EventWorker): Did {
    const { commit } = worker
    return this.eventWorkers.commit(worker, commit) ? `${worker.name} commits ${commit.next}` : undefined
  }

  commitResults(worker: RouterWorker): Did {
    const next = worker.takeCommit()
    if (next === undefined) return undefined
    const isHeld = this.routers.commit(worker, next)
    if (isHeld) this.parts.observe({ _tag: "Commits", worker: worker.name, offset: next })
    return `${worker.name} commits ${next}${isHeld ? "" : ", which is refused"}`
  }

  /** The events topic takes a barrier; 0 is the oldest under way. */
  appendBarrier(at: number): Did {
    const barrier = this.parts.barriers.take(at)
    if (barrier === undefined) return undefined
    const { clientId, epoch, number, pod } = barrier
    const seq = this.parts.events.append(clientId, { _tag: "Barrier", epoch, pod, number })
    this.parts.observe({ _tag: "BarrierSent", seq: seqUnsafe(seq), pod, epoch, number })
    return `barrier of ${clientId}@${pod}/${epoch}, seq ${seq}`
  }

  /** Routers hear an ack or a nack: those that `hears` says. */
  hearAck(at: number, hears: (worker: RouterWorker) => boolean): Did {
    const message = this.parts.acks.take(at)
    if (message === undefined) return undefined
    const heard = this.routers.workers.filter(hears)
    for (const worker of heard) worker.hear(message)
    const text = message._tag === "Ack" ? `Ack ${message.clientId} ${message.seq}` : `Nack ${message.clientId}`
    return `${text} is heard by ${heard.length > 0 ? heard.map(({ name }) => name).join(", ") : "nobody"}`
  }

  trim(at: number): Did {
    const trim = this.parts.trims.take(at)
    if (trim === undefined) return undefined
    this.parts.mailbox.ack(trim.clientId, trim.seq)
    return `the mailbox of ${trim.clientId} is trimmed to ${trim.seq}`
  }

  register(at: number): Did {
    const told = this.parts.presences.take(at)
    if (told === undefined) return undefined
    const { clientId, epoch, pod, status } = told.presence
    const isHeld = this.parts.registry.write(told.presence)
    if (!isHeld) told.refused()
    return `the registry ${isHeld ? "takes" : "refuses"} ${clientId}@${pod}/${epoch} ${status}`
  }

  private name(role: string): string {
    return `${role}${++this.names}`
  }
}
