/**
 * One connection at this gateway: the session of its client, and the transport that it came in by. It steps the session's
 * core, whichever kind it is, and carries out what the core decides:
 *
 * ```
 *   pushes, pages, the feed ──▶ ┌──────┐            ┌──────────┐ ──▶ Transport: results, status, losses
 *   acks, ticks             ──▶ │ step │ ─ outputs ─▶ carryOut │ ──▶ AckSender, Presences: acks, nacks, trims, sweeps
 *                               └──────┘            └──────────┘ ──▶ Reads, Intake, Feeds: what is to come next
 * ```
 *
 * Several inputs may be stepped before their outputs are carried out together, in order.
 */
import { capabilityOf } from "@nimbus/domain/access"
import type { JourneyRecorder, Trace } from "@nimbus/domain/observability"
import type { TokenBucket } from "@nimbus/domain/pacing"
import {
  type ClientId,
  closeCodes,
  type CloseReason,
  type Cursor,
  DirectSession,
  encode,
  type EventId,
  type Item,
  Journey,
  type Owner,
  type Push,
  type Seq,
  Session,
  start,
  type StepsShape,
  TaskRecords,
} from "@nimbus/domain/protocol"
import type { ClientOffset, EventLog, OffsetOwner } from "@nimbus/domain/services"
import type { Shown } from "../access/Access.ts"
import type { Standing } from "../access/Standing.ts"
import type { Share } from "../subjects/Subjects.ts"
import type { Counts } from "../Metrics.ts"
import type { Notice, SessionHandle, Transport } from "../Transport.ts"
import type { AckSender } from "./AckSender.ts"
import type { Feeds, Follower } from "./direct/Feeds.ts"
import type { OffsetSaver, Saved } from "./direct/OffsetSaver.ts"
import type { Intake, Sender } from "./Intake.ts"
import type { LateJourney } from "./LateJourney.ts"
import type { Presences } from "./Presences.ts"
import { Unanswered, type UnansweredLimits } from "./Unanswered.ts"
import type { Read, Reader } from "./Reads.ts"
import { Renewal, type RenewalParts } from "./Renewal.ts"

/** What all connections of a gateway share. */
export interface Shared extends RenewalParts {
  /** The connection of each client. */
  readonly sessions: Map<ClientId, Connection>
  /** Those that are not LIVE are told of time. */
  readonly replaying: Set<Connection>
  /** Those that are not read because too many of their events are not answered. */
  readonly held: Set<Connection>
  readonly unanswered: UnansweredLimits
  readonly intake: Intake
  readonly ackSender: AckSender
  readonly presences: Presences
  readonly journey: LateJourney
  /** Which events are sampled beside those that ask for it. */
  readonly journeys: TokenBucket
  readonly recorder: JourneyRecorder.JourneyRecorder
  readonly counts: Counts
  /** A line of the log about this connection. It costs nothing where such lines are not written. */
  readonly debug: (connection: Connection, message: string) => void
  readonly incarnation: EventLog["Service"]["incarnation"]
  /** A core has met a bug: it is logged and counted. */
  readonly failed: (part: string, defect: unknown) => void
  /** How the cores are stepped. */
  readonly steps: StepsShape
  /** Whether a barrier may be published again in this tick. */
  readonly mayRepeatBarrier: () => boolean
}

/** Reads a page in its turn, and gives it to the session. */
type ReadPage = (read: Read) => void

/** Routed delivery: results come by the router's pushes and from the mailbox. */
export interface Routed {
  readonly _tag: "Routed"
  readonly session: Session.State
  /** Decided, and not carried out. */
  outputs: Array<Session.Output>
  readonly read: ReadPage
}

/** What the connections of direct delivery share. */
export interface DirectParts {
  readonly feeds: Feeds
  readonly saver: OffsetSaver
  readonly read: ReadPage
}

/** Direct delivery: results come from the log by the feed of their partition, and from the mailbox. */
export interface Direct extends DirectParts {
  readonly _tag: "Direct"
  readonly session: DirectSession.State
  outputs: Array<DirectSession.Output>
}

type Output = Session.Output | DirectSession.Output
type PublishBarrier = Session.Output & { readonly _tag: "PublishBarrier" }

const opened = { _tag: "Open" } as const
const ticked = { _tag: "Tick" } as const
const drained = { _tag: "Drained" } as const
const stalled = { _tag: "Stalled" } as const
const mailed = { _tag: "Mail" } as const

export class Connection implements SessionHandle, Sender, Reader, Follower, Saved {
  readonly partition: number
  private readonly core: Routed | Direct
  private readonly transport: Transport
  private readonly shared: Shared
  private readonly standing: Standing
  private readonly share: Share
  private readonly renewal: Renewal
  private readonly unanswered: Unanswered
  isClosed = false
  /** The mailbox was trimmed up to here. */
  private trimmed: Cursor = start
  /** Since when it is not LIVE. */
  private replaying_ms: number
  /** Since when it is LIVE. */
  private live_ms: number | undefined = undefined
  /** Results delivered from the mailbox that were counted. */
  private replayed = 0
  /** A sampled result was delivered. */
  private hasSampled = false
  /** To be published again, in a later tick: there were too many in this one. */
  private owed: PublishBarrier | undefined = undefined
  /** A page counts only while the mailboxes have the backlog up to here: else the store has rolled back since it was settled. */
  settledDlq: number | undefined = undefined

  constructor(
    core: Routed | Direct,
    partition: number,
    transport: Transport,
    { share, standing }: { readonly share: Share; readonly standing: Standing },
    shared: Shared,
  ) {
    this.core = core
    this.partition = partition
    this.transport = transport
    this.standing = standing
    this.share = share
    this.shared = shared
    this.renewal = new Renewal(standing, shared, {
      tell: (notice) => {
        if (!this.isClosed) transport.notify(notice)
      },
      end: (reason) => this.end(reason),
    })
    this.unanswered = new Unanswered(shared.unanswered)
    this.replaying_ms = shared.now()
    shared.replaying.add(this)
    if (core._tag === "Direct") core.feeds.enter(this)
  }

  get session(): Session.State | DirectSession.State {
    return this.core.session
  }

  get clientId(): ClientId {
    return this.core.session.clientId
  }

  get transportName(): string {
    return this.transport.name
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
    return { clientId, epoch, pod, status, owner: this.standing.owner }
  }

  /** Only the same one supersedes it. */
  get owner(): Owner | undefined {
    return this.standing.owner
  }

  // What comes for the session: `carryOut` follows

  /** What any session is told. */
  step(input: Session.SendingInput): void {
    if (this.core._tag === "Routed") this.stepRouted(this.core, input)
    else this.stepDirect(this.core, input)
  }

  /** A push of the router; `false`: this session takes none, as its results come by the log. */
  push(push: Push): boolean {
    if (this.core._tag === "Direct") return false
    this.stepRouted(this.core, push)
    return true
  }

  /** There may be something in the mailbox. Direct delivery reads it only where the log does not help. */
  mail(): void {
    if (this.core._tag === "Routed") this.stepRouted(this.core, mailed)
  }

  /** What its feed says. */
  news(input: DirectSession.Input): void {
    if (this.core._tag === "Direct") this.stepDirect(this.core, input)
  }

  private stepRouted({ outputs, session }: Routed, input: Session.Input): void {
    try {
      this.shared.steps.session(session, input, outputs)
    } catch (defect) {
      this.broke(defect)
    }
  }

  private stepDirect({ outputs, session }: Direct, input: DirectSession.Input): void {
    try {
      this.shared.steps.directSession(session, input, outputs)
    } catch (defect) {
      this.broke(defect)
    }
  }

  /** A session that breaks an invariant is over, and its client comes again. Others go on. */
  private broke(defect: unknown): void {
    this.shared.failed("step a session", defect)
    this.unavailable()
  }

  // What the transport and the gateway say

  event(id: EventId, name: string, record: () => Uint8Array, follow: boolean): void {
    if (this.isClosed) return
    const { grants, headers } = this.standing
    if (!grants.mayOf("send", name)) return this.refuse({ id, isCancel: false }, capabilityOf("send", name))
    const isAsked = follow && grants.may("journey")
    const hop = isAsked || this.shared.journeys.take() ? this.follow(isAsked) : undefined
    // The same ones for all events that are not sampled: the log writes them once.
    const all = hop === undefined ? headers : { ...headers, ...hop.headers }
    this.shared.intake.put({ key: this.clientId, value: record(), headers: all }, { sender: this, id, hop })
    if (this.unanswered.take()) this.mayHold()
  }

  /** It counts like an event: it takes its place in the log, and in its client's turn, as one does. */
  cancel(id: EventId): void {
    if (this.isClosed) return
    if (!this.standing.grants.may("cancel")) return this.refuse({ id, isCancel: true }, "cancel")
    const value = TaskRecords.encodeTask({ task: id, do: "cancel", by: "client" })
    this.shared.intake.put({ key: this.clientId, value }, { sender: this, id, isCancel: true })
    if (this.unanswered.take()) this.mayHold()
  }

  ack(seq: Seq | Cursor): boolean {
    if (this.isClosed) return false
    if (!this.standing.grants.may("ack")) {
      const { code, message } = this.standing.deny("ack")
      this.transport.notify({ _tag: "Error", code, message })
      return true
    }
    if (!Session.isSent(this.session, seq)) return false
    this.step({ _tag: "Ack", seq })
    this.carryOut()
    return true
  }

  renew(shown: Shown): void {
    if (!this.isClosed) this.renewal.begin(shown)
  }

  private refuse(what: { readonly id: EventId; readonly isCancel: boolean }, capability: string): void {
    const { code, message } = this.standing.deny(capability)
    this.shared.counts.addTo("refused", code)
    this.transport.notify({ _tag: "Refused", ...what, code, message, capability })
  }

  open(): void {
    this.step(opened)
    this.carryOut()
    this.renewal.hold()
  }

  /** A barrier that was held back in an earlier tick is the newest still, and nothing else ends that one is under way. */
  tick(): void {
    if (this.owed !== undefined) this.publishBarrier(this.owed)
    this.step(ticked)
    this.carryOut()
  }

  drained(): void {
    this.step(drained)
    this.carryOut()
  }

  accepted(ids: ReadonlyArray<EventId>, seqs: ReadonlyArray<number>, cancels: ReadonlyArray<EventId>): void {
    if (this.isClosed) return
    if (ids.length > 0) this.transport.notify({ _tag: "Accepted", ids })
    if (cancels.length > 0) this.transport.notify({ _tag: "Cancelling", ids: cancels })
    this.unanswered.accepted(seqs, this.session.delivered)
    this.mayRelease()
  }

  private get waitsForClient(): boolean {
    const { core } = this
    return core._tag === "Routed" ? Session.waitsForClient(core.session) : DirectSession.waitsForClient(core.session)
  }

  /** It is read no further until enough is answered. */
  private mayHold(): void {
    if (!this.unanswered.hold(this.waitsForClient, this.shared.now())) return
    this.shared.counts.add("held", 1)
    this.shared.held.add(this)
    this.transport.pause()
  }

  /** It is read again if it was held for long enough, or for what its client has to do. */
  mayRelease(): void {
    this.unanswered.delivered(this.session.delivered)
    if (!this.unanswered.isHeld) return
    if (!this.unanswered.release(this.waitsForClient, this.shared.now())) return
    this.shared.held.delete(this)
    this.transport.resume()
  }

  pause(): void {
    if (!this.isClosed) this.transport.pause()
  }

  resume(): void {
    if (!this.isClosed) this.transport.resume()
  }

  // What the session wants done

  /** Carries out what the session has decided, in order. */
  carryOut(): void {
    const { outputs } = this.core
    if (outputs.length === 0) return
    this.core.outputs = []
    for (const output of outputs) {
      if (this.isClosed) return
      this.carry(output)
    }
    this.mayRelease()
  }

  private carry(output: Output): void {
    switch (output._tag) {
      case "Deliver":
        return this.deliver(output.items)
      case "Ack":
        this.sampledAcknowledged(output.seq)
        return this.shared.ackSender.ack(this.partition, this.clientId, output.seq)
      case "Nack":
        this.shared.counts.add("nacked", 1)
        return this.shared.ackSender.nack(this.partition, this.clientId, output.route)
      case "Trim":
        return this.acknowledgedUpTo(output.seq)
      case "Read":
        return this.core.read({ connection: this, after: output.after, limit: output.limit })
      case "PublishBarrier":
        return this.publishBarrier(output)
      case "Sweep":
        return this.sweep()
      case "Welcome":
        return this.welcome(output.after)
      case "Status":
        return this.statusChanged()
      case "Lost":
        return this.lost(output)
      case "Follow":
      case "Leave":
      case "Settle":
        return this.tellFeed(output._tag)
    }
  }

  private deliver(items: ReadonlyArray<Item>): void {
    const { counts, journey } = this.shared
    counts.addTo("delivered", this.transport.name, items.length)
    const { replayed } = this.session
    if (replayed > this.replayed) counts.add("replayed", replayed - this.replayed)
    this.replayed = replayed
    if (Journey.isAnySampled(items)) {
      this.hasSampled = true
      journey.sent(this.clientId, items, this.live_ms)
    }
    if (!this.transport.deliver(items)) this.step(stalled)
  }

  private welcome(after: Cursor): void {
    const { epoch, status } = this.session
    this.shared.debug(this, "a session opens")
    this.transport.notify({ _tag: "Welcome", epoch, status, log: this.shared.incarnation, after })
  }

  /** Retention has removed results before this client had them. Not every transport has a frame for it. */
  private lost(range: Notice & { readonly _tag: "Lost" }): void {
    this.shared.counts.addTo("lost", this.transport.name)
    this.transport.notify(range)
  }

  /** It has turned LIVE, or is so no more. */
  private statusChanged(): void {
    const { counts, debug, now, presences, replaying } = this.shared
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

  private publishBarrier(barrier: PublishBarrier): void {
    const { again, number } = barrier
    this.owed = again && !this.shared.mayRepeatBarrier() ? barrier : undefined
    if (this.owed !== undefined) return
    if (again) this.shared.counts.add("barriersAgain", 1)
    const { epoch, pod } = this.session
    this.shared.intake.putBarrier({ key: this.clientId, value: encode({ type: "barrier", epoch, pod, number }) })
  }

  private tellFeed(what: "Follow" | "Leave" | "Settle"): void {
    if (this.core._tag === "Routed") return
    const { feeds, session } = this.core
    if (what === "Leave") feeds.unfollow(this)
    else if (what === "Settle") feeds.settle(this)
    else if (session.position !== undefined) feeds.follow(this, session.position)
  }

  private sampledAcknowledged(upTo: Cursor): void {
    if (this.hasSampled) this.shared.journey.acknowledged(this.clientId, upTo)
  }

  /** Of direct delivery there is no `Ack` besides. */
  private acknowledgedUpTo(seq: Cursor): void {
    if (this.core._tag === "Direct") this.sampledAcknowledged(seq)
    this.trim()
  }

  /** Trims the mailbox by what the client acknowledged since the last time, and saves how far the client has the log. */
  trim(): void {
    const { acked } = this.session
    if (acked > this.trimmed) {
      this.trimmed = acked
      this.shared.counts.add("trims", 1)
      this.shared.ackSender.trim(this.clientId, acked)
    }
    if (this.core._tag === "Direct") this.core.saver.save(this)
  }

  /** What there is to save of it. */
  get fact(): (OffsetOwner & ClientOffset) | undefined {
    if (this.core._tag === "Routed") return undefined
    const { feeds, session } = this.core
    feeds.inform(this)
    const fact = DirectSession.factOf(session)
    const { clientId, epoch } = session
    return fact === undefined ? undefined : { clientId, epoch, log: this.shared.incarnation, ...fact }
  }

  /** Somebody newer may be elsewhere: the registry knows. */
  sweep(): void {
    if (!this.isClosed) this.shared.presences.write(this.presence)
  }

  // How it ends

  /** The socket is gone: the registry learns it, and the mailbox what the client had. */
  closed(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.trim()
    this.shared.presences.write({ ...this.presence, status: "OFFLINE" })
    this.shared.debug(this, "the session is over")
    this.leave()
  }

  /** A newer session of this client is somewhere: it is the registry's now. */
  superseded(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.shared.counts.add("superseded", 1)
    this.shared.debug(this, "superseded by a newer session")
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

  /** Closes the socket as if the client had: it is to come back. */
  private end(reason: CloseReason): void {
    if (this.isClosed) return
    this.closed()
    this.transport.close(reason)
  }

  private leave(): void {
    const { counts, held, intake, journey, replaying, sessions } = this.shared
    this.standing.release()
    this.share.close()
    if (this.core._tag === "Direct") this.core.feeds.leave(this)
    replaying.delete(this)
    held.delete(this)
    intake.leave(this.clientId, this)
    if (sessions.get(this.clientId) !== this) return
    sessions.delete(this.clientId)
    counts.session(this.transportName, -1)
    journey.closed(this.clientId)
  }

  private follow(isAsked: boolean): Trace.Hop {
    const { counts, recorder } = this.shared
    counts.add("followed", 1)
    const details = { rule: Journey.rules.accepted, followed: isAsked ? "asked for" : "within the budget" }
    return recorder.step("accepted", { clientId: this.clientId, from: this.transport.trace, details })
  }
}
