/** A gateway process: a pod id of its own, an inbox, and the connections it holds. */
import { type ClientId, type Cursor, type Delivering, PodEpochs, type PodId, Session } from "@nimbus/domain/protocol"
import type { Channel } from "./Channel.ts"
import { Connection } from "./Connection.ts"
import type { Did, Parts } from "./Parts.ts"
import { Socket } from "./Socket.ts"

export class Gateway {
  readonly pod: PodId
  readonly inbox: Channel<Delivering>
  private readonly parts: Parts
  /** How far its clock is ahead of the world's. */
  private readonly skew_ms: number
  private readonly connections = new Map<ClientId, Connection>()
  private readonly epochs = new PodEpochs()

  constructor(pod: PodId, parts: Parts, skew_ms: number) {
    this.pod = pod
    this.parts = parts
    this.skew_ms = skew_ms
    this.inbox = parts.pods.open(pod)
  }

  get open(): Iterable<Connection> {
    return this.connections.values()
  }

  /** Opens a session. An older one of the same client here is superseded at once; elsewhere the sweep finds it. */
  connect(clientId: ClientId, after: Cursor, now_ms: number): Connection {
    const { parts, pod } = this
    const asked = this.epochs.ask(now_ms + this.skew_ms)
    const epoch = parts.registry.connect(clientId, pod, asked)
    // Nobody else connects here meanwhile, so the answer is never one to be refused.
    this.epochs.take(asked, epoch)
    this.connections.get(clientId)?.superseded()
    parts.observe({ _tag: "Connects", pod, clock: asked, epoch })
    const session = Session.make({ clientId, epoch, pod, after, limits: parts.limits.session })
    const connection = new Connection(session, new Socket(), parts, (closed) => {
      if (this.connections.get(clientId) === closed) this.connections.delete(clientId)
    })
    this.connections.set(clientId, connection)
    return connection
  }

  /** Takes a message from the inbox, 0 being the oldest. */
  receive(at: number): Did {
    const message = this.inbox.take(at)
    if (message === undefined) return undefined
    const { _tag, clientId } = message
    const connection = this.connections.get(clientId)
    if (message._tag === "Push") {
      if (connection === undefined) this.parts.acks.send({ _tag: "Nack", clientId, route: message.route })
      else connection.push(message)
      const whose = connection === undefined ? "which it does not hold" : `now ${connection.session.status}`
      return `${this.pod} gets Push ${clientId} ${message.prev}→${message.seq}, ${whose}`
    }
    connection?.mail()
    return `${this.pod} gets ${_tag} ${clientId}`
  }

  crash(): Did {
    for (const connection of this.open) connection.end()
    this.parts.pods.close(this.pod)
    this.parts.observe({ _tag: "CrashesPod", pod: this.pod })
    return `${this.pod} crashes`
  }
}
