/**
 * One connection at this gateway, whatever its delivery: the transport it came in by, and what every session needs of the
 * gateway. It steps the session and carries out what that decides. `Connection` is the one of routed delivery,
 * `DirectConnection` the one of direct delivery.
 */
import type { JourneyRecorder, Trace } from "@nimbus/domain/observability"
import type { TokenBucket } from "@nimbus/domain/pacing"
import {
  type ClientId,
  closeCodes,
  type CloseReason,
  type Cursor,
  type DirectSession,
  type EventId,
  type Item,
  Journey,
  type Push,
  type Seq,
  Session,
  start,
  type StepsShape,
} from "@nimbus/domain/protocol"
import type { EventLog } from "@nimbus/domain/services"
import type { SessionHandle, Transport, Notice } from "../Transport.ts"
import type { Counts } from "../Metrics.ts"
import type { Intake, Sender } from "./Intake.ts"
import type { LateJourney } from "./LateJourney.ts"
import type { AckSender } from "./AckSender.ts"
import type { Presences } from "./Presences.ts"

/** What all connections of a gateway share. */
export interface ResidentShared {
  readonly intake: Intake
  readonly ackSender: AckSender
  readonly presences: Presences
  readonly journey: LateJourney
  /** Which events are sampled beside those that ask for it. */
  readonly journeys: TokenBucket
  readonly recorder: JourneyRecorder.JourneyRecorder
  readonly counts: Counts
  /** A line of the log about this connection. It costs nothing where such lines are not written. */
  readonly debug: (connection: Resident, message: string) => void
  readonly incarnation: EventLog["Service"]["incarnation"]
  readonly now: () => number
  /** A core has met a bug: it is logged and counted. */
  readonly failed: (part: string, defect: unknown) => void
  /** How the cores are stepped. */
  readonly steps: StepsShape
  /** Those that are not LIVE are told of time. */
  readonly replaying: Set<Resident>
  /** Removes the connection, if it is still its client's. */
  readonly remove: (connection: Resident) => void
}

const ticked = { _tag: "Tick" } as const
const drained = { _tag: "Drained" } as const
const stalled = { _tag: "Stalled" } as const

interface Tagged {
  readonly _tag: string
}

export abstract class Resident<Output extends Tagged = Tagged> implements SessionHandle, Sender {
  abstract readonly session: Session.State | DirectSession.State
  readonly partition: number
  protected readonly transport: Transport
  private readonly residents: ResidentShared
  isClosed = false
  /** The mailbox was trimmed up to here. */
  private trimmed: Cursor = start
  /** Since when it is not LIVE. */
  private replaying_ms: number
  /** Since when it is LIVE. */
  private live_ms: number | undefined = undefined
  /** Results delivered from the mailbox that were counted. */
  private replayed = 0
  /** Decided, and not carried out. */
  protected outputs: Array<Output> = []

  constructor(partition: number, transport: Transport, shared: ResidentShared) {
    this.partition = partition
    this.transport = transport
    this.residents = shared
    this.replaying_ms = shared.now()
    shared.replaying.add(this)
  }

  /** Steps the session; `carryOut` follows. */
  abstract step(input: Session.SendingInput): void
  protected abstract carry(output: Output): void
  /** A push of the router; `false`: this session takes none. `carryOut` follows. */
  abstract push(push: Push): boolean
  /** There may be something in the mailbox. `carryOut` follows. */
  abstract mail(): void

  /** A session that breaks an invariant is over, and its client comes again. Others go on. */
  protected broke(defect: unknown): void {
    this.residents.failed("step a session", defect)
    this.unavailable()
  }

  /** Carries out what the session has decided, in order. */
  carryOut(): void {
    const { outputs } = this
    if (outputs.length === 0) return
    this.outputs = []
    for (const output of outputs) {
      if (this.isClosed) return
      this.carry(output)
    }
  }

  get transportName(): string {
    return this.transport.name
  }

  get clientId(): ClientId {
    return this.session.clientId
  }

  get upTo(): Cursor {
    return this.session.delivered
  }

  get acknowledged(): Cursor {
    return this.session.acked
  }

  /** For those who look on. */
  get seenFromOutside() {
    return { door: this.transport.name, upTo: this.upTo, acknowledged: this.acknowledged }
  }

  get presence() {
    const { clientId, epoch, pod, status } = this.session
    return { clientId, epoch, pod, status }
  }

  event(id: EventId, value: Uint8Array, follow: boolean): void {
    if (this.isClosed) return
    const isFollowed = follow || this.residents.journeys.take()
    const hop = isFollowed ? this.follow(follow) : undefined
    this.residents.intake.put({ key: this.clientId, value, headers: hop?.headers }, { sender: this, id, hop })
  }

  ack(seq: Seq | Cursor): boolean {
    if (this.isClosed || !Session.isSent(this.session, seq)) return false
    this.step({ _tag: "Ack", seq })
    this.carryOut()
    return true
  }

  tick(): void {
    this.step(ticked)
    this.carryOut()
  }

  drained(): void {
    this.step(drained)
    this.carryOut()
  }

  accepted(ids: ReadonlyArray<EventId>): void {
    if (!this.isClosed) this.transport.notify({ _tag: "Accepted", ids })
  }

  pause(): void {
    if (!this.isClosed) this.transport.pause()
  }

  resume(): void {
    if (!this.isClosed) this.transport.resume()
  }

  /** The socket is gone: the registry learns it, and the mailbox what the client had. */
  closed(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.trim()
    this.residents.presences.write({ ...this.presence, status: "OFFLINE" })
    this.residents.debug(this, "the session is over")
    this.leave()
  }

  /** A newer session of this client is somewhere: it is the registry's now. */
  superseded(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.residents.counts.add("superseded", 1)
    this.residents.debug(this, "superseded by a newer session")
    this.trim()
    this.leave()
    this.transport.close(closeCodes.superseded)
  }

  /** This gateway is leaving. */
  goAway(): void {
    this.end(closeCodes.goingAway)
  }

  /** An operator wants it closed. */
  kick(): void {
    this.end(closeCodes.kicked)
  }

  unavailable(): void {
    this.end(closeCodes.unavailable)
  }

  /** Trims the mailbox by what the client acknowledged since the last time. */
  trim(): void {
    const { acked } = this.session
    if (acked <= this.trimmed) return
    this.trimmed = acked
    this.residents.counts.add("trims", 1)
    this.residents.ackSender.trim(this.clientId, acked)
  }

  /** Somebody newer may be elsewhere: the registry knows. */
  sweep(): void {
    if (!this.isClosed) this.residents.presences.write(this.presence)
  }

  /** What is the same whatever its delivery. */
  protected carryShared(output: Exclude<Session.SendingOutput, { readonly _tag: "Read" }>): void {
    switch (output._tag) {
      case "Deliver":
        return this.deliver(output.items)
      case "Trim":
        return this.trim()
      case "Sweep":
        return this.sweep()
      case "Welcome":
        return this.welcome(output.after)
      case "Status":
        return this.statusChanged()
      case "Lost":
        return this.lost(output)
    }
  }

  private deliver(items: ReadonlyArray<Item>): void {
    const { counts, journey } = this.residents
    counts.addTo("delivered", this.transport.name, items.length)
    const { replayed } = this.session
    if (replayed > this.replayed) counts.add("replayed", replayed - this.replayed)
    this.replayed = replayed
    journey.sent(this.clientId, items, this.live_ms)
    if (!this.transport.deliver(items)) this.step(stalled)
  }

  private welcome(after: Cursor): void {
    const { epoch, status } = this.session
    this.residents.debug(this, "a session opens")
    this.transport.notify({ _tag: "Welcome", epoch, status, log: this.residents.incarnation, after })
  }

  /** Retention has removed results before this client had them. Not every transport has a frame for it. */
  private lost(range: Notice & { readonly _tag: "Lost" }): void {
    this.residents.counts.addTo("lost", this.transport.name)
    this.transport.notify(range)
  }

  /** It has turned LIVE, or is so no more. */
  private statusChanged(): void {
    const { counts, debug, now, presences, replaying } = this.residents
    if (this.session.status === "LIVE") {
      replaying.delete(this)
      this.live_ms = now()
      counts.observe("handover", this.live_ms - this.replaying_ms)
      debug(this, "LIVE")
    } else {
      replaying.add(this)
      counts.addTo("demoted", this.session.demotion)
      debug(this, `REPLAYING: ${this.session.demotion}`)
      this.replaying_ms = now()
      this.live_ms = undefined
    }
    presences.write(this.presence)
    this.transport.notify({ _tag: "Status", status: this.session.status })
  }

  protected leave(): void {
    this.residents.replaying.delete(this)
    this.residents.intake.leave(this.clientId, this)
    this.residents.remove(this)
  }

  /** Closes the socket as if the client had: it is to come back. */
  private end(reason: CloseReason): void {
    if (this.isClosed) return
    this.closed()
    this.transport.close(reason)
  }

  private follow(isAsked: boolean): Trace.Hop {
    const { counts, recorder } = this.residents
    counts.add("followed", 1)
    const details = { rule: Journey.rules.accepted, followed: isAsked ? "asked for" : "within the budget" }
    return recorder.step("accepted", { clientId: this.clientId, from: this.transport.trace, details })
  }
}
