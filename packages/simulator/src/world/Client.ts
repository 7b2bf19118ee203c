/**
 * A client: sends numbered events, reads results, acknowledges at its own pace, loses its socket and comes back to any
 * gateway. One that remembers gives its last seq when it comes back, as the SDK does.
 */
import { type ClientId, type Cursor, type Seq, seqUnsafe, start, type Status } from "@nimbus/domain/protocol"
import type { Connection } from "./Connection.ts"
import { numberOf } from "./Facts.ts"
import type { Did, Parts } from "./Parts.ts"

/** A result as the client saw it; `n` is the event's number. */
export interface Shown {
  readonly seq: Seq
  readonly n: number
}

/** What the client was told to be lost; without `upTo`, some of what the log had before `end`. */
export interface Loss {
  readonly after: Cursor
  readonly upTo: Seq | undefined
  readonly end: number
}

export class Client {
  readonly id: ClientId
  readonly remembers: boolean
  readonly shown: Array<Shown> = []
  readonly losses: Array<Loss> = []
  /** Events sent so far. */
  sent = 0
  /** As it was told. */
  status: Status.StatusName = "OFFLINE"
  /** The connection whose client end this is; the gateway may know less. */
  connection: Connection | undefined = undefined
  private readonly parts: Parts
  private read: Cursor = start
  private acked: Cursor = start

  constructor(id: ClientId, remembers: boolean, parts: Parts) {
    this.id = id
    this.remembers = remembers
    this.parts = parts
  }

  get isConnected(): boolean {
    return this.connection?.socket.isOpen === true
  }

  /** What it gives when it connects: everything up to here it has. */
  get after(): Cursor {
    return this.remembers ? (this.shown.at(-1)?.seq ?? start) : start
  }

  send(): Did {
    const n = ++this.sent
    const seq = this.parts.events.append(this.id, { _tag: "Event", n })
    this.parts.observe({ _tag: "Sends", seq: seqUnsafe(seq) })
    return `${this.id} sends ${n}, seq ${seq}`
  }

  connected(connection: Connection): void {
    this.connection = connection
    this.read = start
    this.acked = start
  }

  /** Takes the next frame from the socket. */
  take(): Did {
    const frame = this.connection?.socket.atClient()
    if (frame === undefined) return undefined
    switch (frame._tag) {
      case "Result": {
        const n = numberOf(frame.item.value)
        this.read = frame.item.seq
        this.shown.push({ seq: frame.item.seq, n })
        this.parts.observe({ _tag: "Shows", seq: frame.item.seq })
        return `${this.id} shows ${n}, seq ${frame.item.seq}`
      }
      case "Welcome":
        return `${this.id} is welcome after ${frame.after}`
      case "Status":
        this.status = frame.status
        return `${this.id} is told ${frame.status}`
      case "Lost":
        this.losses.push({ after: frame.after, upTo: frame.upTo, end: this.parts.events.end })
        return `${this.id} is told lost (${frame.after}, ${frame.upTo ?? "?"}]`
    }
  }

  /** Acknowledges everything it has read. */
  ack(): Did {
    if (!this.isConnected || this.read <= this.acked) return undefined
    this.acked = this.read
    this.connection?.socket.toGateway(this.read as Seq)
    return `${this.id} acks ${this.read}`
  }

  /** Its end of the socket dies; the gateway learns it later. */
  drop(): Did {
    if (!this.isConnected) return undefined
    this.connection?.socket.die()
    this.parts.observe({ _tag: "LosesSocket", clientId: this.id })
    return `${this.id} loses its socket`
  }
}
