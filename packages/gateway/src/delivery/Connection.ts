/**
 * One connection at this gateway: the session's core, the door it came in by, and nothing else. It carries out what
 * the session decides, through the parts that all connections of the gateway share.
 */
import type { ClientId, Cursor, EventId, EventLog, Output, Seq, Session } from "@nimbus/domain"
import { closeCodes, type CloseReason, encode, Journey, type PageLimit, start } from "@nimbus/domain"
import type { Attached, Door } from "../Door.ts"
import type { Counts } from "../Metrics.ts"
import type { Intake, Sender } from "./Intake.ts"
import type { LateJourney } from "./LateJourney.ts"
import type { Outbox } from "./Outbox.ts"
import type { Presences } from "./Presences.ts"

/** What all connections of a gateway share. */
export interface Shared {
  readonly intake: Intake
  readonly outbox: Outbox
  readonly presences: Presences
  readonly journey: LateJourney
  readonly counts: Counts
  readonly incarnation: EventLog["Service"]["incarnation"]
  readonly now: () => number
  /** Reads a page, then calls `Connection.page` or `pageFailed`. */
  readonly read: (connection: Connection, after: Cursor, limit: PageLimit) => void
  /** Whether a barrier may be published again in this tick. */
  readonly mayRepeatBarrier: () => boolean
  readonly replaying: Set<Connection>
  /** Removes the connection, if it is still its client's. */
  readonly remove: (connection: Connection) => void
}

export class Connection implements Attached, Sender {
  readonly session: Session
  readonly partition: number
  private readonly door: Door
  private readonly shared: Shared
  private isClosed = false
  /** The mailbox was trimmed up to here. */
  private trimmed: Cursor = start

  constructor(session: Session, partition: number, door: Door, shared: Shared) {
    this.session = session
    this.partition = partition
    this.door = door
    this.shared = shared
    shared.replaying.add(this)
  }

  get clientId(): ClientId {
    return this.session.clientId
  }

  get upTo(): Cursor {
    return this.session.upTo
  }

  get acknowledged(): Cursor {
    return this.session.acknowledged
  }

  event(id: EventId, value: Uint8Array, follow: boolean): void {
    if (this.isClosed) return
    const headers = follow ? Journey.follow(this.step("accepted")) : undefined
    this.shared.intake.put({ key: this.clientId, value, headers }, { sender: this, id })
  }

  ack(seq: Seq | Cursor): boolean {
    if (this.isClosed || !this.session.ack(seq)) return false
    this.carryOut()
    return true
  }

  /** There may be something in the mailbox. */
  mail(): void {
    this.session.mail()
    this.carryOut()
  }

  tick(): void {
    this.session.tick()
    this.carryOut()
  }

  drained(): void {
    this.session.drain()
    this.carryOut()
  }

  accepted(ids: ReadonlyArray<EventId>): void {
    if (!this.isClosed) this.door.tell({ _tag: "Accepted", ids })
  }

  pause(): void {
    if (!this.isClosed) this.door.pause()
  }

  resume(): void {
    if (!this.isClosed) this.door.resume()
  }

  /** The socket is gone: the registry learns it, and the mailbox what the client had. */
  closed(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.trim()
    this.shared.presences.write({ ...this.presence, status: "OFFLINE" })
    this.leave()
  }

  /** A newer session of this client is somewhere: it is the registry's now. */
  superseded(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.shared.counts.add("superseded", 1)
    this.trim()
    this.leave()
    this.door.close(closeCodes.superseded)
  }

  /** This gateway is leaving. */
  goAway(): void {
    this.end(closeCodes.goingAway)
  }

  unavailable(): void {
    this.end(closeCodes.unavailable)
  }

  get presence() {
    const { clientId, epoch, pod, status } = this.session
    return { clientId, epoch, pod, status }
  }

  /** Trims the mailbox by what the client acknowledged since the last time. */
  trim(): void {
    const { acknowledged } = this.session
    if (acknowledged <= this.trimmed) return
    this.trimmed = acknowledged
    this.shared.outbox.trim(this.clientId, acknowledged)
  }

  /**
   * Carries out what the session has decided, in order; but reads the mailbox last, for a page may come at once and
   * must find everything before it delivered.
   */
  carryOut(): void {
    let read: (Output & { readonly _tag: "Read" }) | undefined
    for (const output of this.session.take()) {
      if (this.isClosed) return
      if (output._tag === "Read") read = output
      else this.carry(output)
    }
    if (read !== undefined && !this.isClosed) this.shared.read(this, read.after, read.limit)
  }

  private carry(output: Exclude<Output, { readonly _tag: "Read" }>): void {
    const { shared } = this
    switch (output._tag) {
      case "Deliver":
        shared.counts.add("delivered", output.items.length)
        shared.journey.sent(this.clientId, output.items)
        if (!this.door.deliver(output.items)) this.session.stall()
        return
      case "Ack":
        shared.journey.acknowledged(this.clientId, output.seq)
        return shared.outbox.ack(this.partition, this.clientId, output.seq)
      case "Nack":
        shared.counts.add("nacked", 1)
        return shared.outbox.nack(this.partition, this.clientId)
      case "Trim":
        return this.trim()
      case "PublishBarrier":
        return this.publishBarrier(output.again)
      case "Sweep":
        return shared.presences.write(this.presence)
      case "Welcome": {
        const { epoch, status } = this.session
        return this.door.tell({ _tag: "Welcome", epoch, status, log: shared.incarnation, after: output.after })
      }
      case "Status":
        if (output.status === "LIVE") shared.replaying.delete(this)
        else shared.replaying.add(this)
        shared.presences.write(this.presence)
        return this.door.tell({ _tag: "Status", status: output.status })
      case "Lost":
        return this.door.tell(output)
    }
  }

  private publishBarrier(again: boolean): void {
    if (again && !this.shared.mayRepeatBarrier()) return
    if (again) this.shared.counts.add("barriersAgain", 1)
    const { epoch, pod } = this.session
    this.shared.intake.put({ key: this.clientId, value: encode({ type: "barrier", epoch, pod }) })
  }

  /** Closes the socket as if the client had: it is to come back. */
  private end(reason: CloseReason): void {
    if (this.isClosed) return
    this.closed()
    this.door.close(reason)
  }

  private leave(): void {
    this.shared.replaying.delete(this)
    this.shared.journey.closed(this.clientId)
    this.shared.remove(this)
  }

  private step(step: Journey.StepName): Journey.JourneyStep {
    return { time: this.shared.now(), service: "gateway", instance: this.session.pod, step }
  }
}
