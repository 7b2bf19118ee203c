/** One connection at a gateway: the shell around the production `Session`. It carries out what the session decides. */
import { type Cursor, type Push, type Seq, Session, start } from "@nimbus/domain/protocol"
import type { Page, PageLimit, Presence } from "@nimbus/domain/services"
import type { Did, Parts } from "./Parts.ts"
import type { Socket } from "./Socket.ts"

export class Connection {
  readonly session: Session.State
  readonly socket: Socket
  readonly name: string
  /** Results sent and not acknowledged by the client, counted apart from the session: for checks. */
  unacked: Array<Seq> = []
  /** What it was given the last time: for checks. */
  lastPage: Page | undefined = undefined
  private readonly parts: Parts
  private readonly leave: (connection: Connection) => void
  private asked: { readonly after: Cursor; readonly limit: PageLimit } | undefined = undefined
  private fetched: Page | undefined = undefined
  private isClosed = false
  private isStalled = false
  private trimmed: Cursor = start

  constructor(session: Session.State, socket: Socket, parts: Parts, leave: (connection: Connection) => void) {
    this.session = session
    this.socket = socket
    this.parts = parts
    this.leave = leave
    this.name = `${session.clientId}@${session.pod}/${session.epoch}`
    this.step({ _tag: "Open" })
  }

  get isOpen(): boolean {
    return !this.isClosed
  }

  /** No page is under way. */
  get isIdle(): boolean {
    return this.asked === undefined && this.fetched === undefined && this.socket.isIdle
  }

  /** The mailbox is read now; what it said then arrives later. */
  readPage(): Did {
    if (this.asked === undefined) return undefined
    this.fetched = this.parts.mailbox.page(this.session.clientId, this.asked.after, this.asked.limit)
    const { after } = this.asked
    this.asked = undefined
    const seqs = this.fetched.records.map(({ seq }) => seq)
    this.parts.observe({ _tag: "ReadsPage", pod: this.session.pod, seqs, after })
    return `${this.name} reads its mailbox after ${after}: ${this.fetched.records.map(({ seq }) => seq).join(", ")}`
  }

  pageArrives(): Did {
    const page = this.fetched
    if (page === undefined) return undefined
    this.fetched = undefined
    this.lastPage = page
    this.step({ _tag: "Page", page })
    return `${this.name} gets its page and is ${this.session.status} at ${this.session.delivered}`
  }

  pageFails(): Did {
    if (this.fetched === undefined) return undefined
    this.fetched = undefined
    this.step({ _tag: "PageFailed" })
    return `${this.name} gets no page`
  }

  push(push: Push): void {
    this.step(push)
  }

  mail(): void {
    this.step({ _tag: "Mail" })
  }

  /** Takes the client's next ack from the socket. */
  hear(): Did {
    const ack = this.socket.atGateway()
    if (ack === undefined) return undefined
    this.unacked = this.unacked.filter((seq) => seq > ack)
    const isGood = Session.isSent(this.session, ack)
    this.step({ _tag: "Ack", seq: ack })
    return `${this.name} hears ack ${ack}${isGood ? "" : ", which it refuses"}`
  }

  /** The socket takes more again. */
  drain(): Did {
    if (!this.isStalled || this.socket.waiting > 0) return undefined
    this.isStalled = false
    this.step({ _tag: "Drained" })
    return `${this.name} drains`
  }

  tick(): void {
    this.step({ _tag: "Tick" })
  }

  /** Writes the session to the registry again, trims lazily, looks into the mailbox. */
  sweep(): Did {
    const did = `sweep of ${this.name}`
    if (!this.parts.registry.write(this.presence)) {
      this.superseded()
      return `${did}: superseded`
    }
    this.trim()
    const isWaiting = this.parts.mailbox.isWaiting(this.session.clientId, this.session.delivered)
    if (isWaiting) this.mail()
    return `${did}${isWaiting ? ": mail" : ""}`
  }

  /** The gateway learns that the socket is gone. */
  closed(): void {
    if (this.isClosed) return
    this.trim()
    this.tell({ ...this.presence, status: "OFFLINE" })
    this.end()
  }

  /** A newer session of this client is somewhere: it is the registry's now. */
  superseded(): void {
    if (this.isClosed) return
    this.trim()
    this.end()
  }

  /** The gateway crashes. */
  end(): void {
    this.isClosed = true
    this.socket.die()
    this.parts.observe({ _tag: "Closes", pod: this.session.pod })
    this.leave(this)
  }

  private get presence(): Presence {
    const { clientId, epoch, pod, status } = this.session
    return { clientId, epoch, pod, status }
  }

  private trim(): void {
    const { acked: seq, clientId } = this.session
    if (seq <= this.trimmed) return
    this.trimmed = seq
    this.parts.trims.send({ clientId, seq })
  }

  private tell(presence: Presence): void {
    this.parts.presences.send({ presence, refused: () => this.superseded() })
  }

  private step(input: Session.Input): void {
    for (const output of this.parts.steps.session(this.session, input)) if (!this.isClosed) this.carry(output)
  }

  private carry(output: Session.Output): void {
    const { clientId, epoch, pod } = this.session
    switch (output._tag) {
      case "Deliver":
        for (const item of output.items) {
          this.unacked.push(item.seq)
          this.socket.toClient({ _tag: "Result", item })
        }
        if (this.socket.waiting < this.parts.limits.socket_frames) return
        this.isStalled = true
        return this.step({ _tag: "Stalled" })
      case "Status":
        this.tell(this.presence)
        return this.socket.toClient(output)
      case "Welcome":
      case "Lost":
        return this.socket.toClient(output)
      case "Read":
        this.asked = output
        return
      case "PublishBarrier":
        return this.parts.barriers.send({ clientId, epoch, pod, number: output.number })
      case "Ack":
        return this.parts.acks.send({ _tag: "Ack", clientId, seq: output.seq })
      case "Nack":
        return this.parts.acks.send({ _tag: "Nack", clientId, route: output.route })
      case "Trim":
        return this.trim()
      case "Sweep":
        return this.tell(this.presence)
    }
  }
}
