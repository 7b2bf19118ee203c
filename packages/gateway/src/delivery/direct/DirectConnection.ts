/**
 * One connection of direct delivery at this gateway: its session's core, the transport it came in by, and its place in
 * the partition's feed.
 */
import type { DirectOutput, DirectSession, Follower, LogItem } from "@nimbus/domain/protocol"
import type { ClientOffset, OffsetOwner } from "@nimbus/domain/services"
import type { Transport } from "../../Transport.ts"
import type { Read } from "../Reads.ts"
import { Resident, type ResidentShared } from "../Resident.ts"

export interface DirectShared extends ResidentShared {
  readonly feeds: {
    readonly enter: (connection: DirectConnection) => void
    readonly leave: (connection: DirectConnection) => void
    readonly follow: (connection: DirectConnection) => void
    /** Tells the session how far it has got. */
    readonly inform: (connection: DirectConnection) => void
    readonly settle: (connection: DirectConnection) => void
  }
  /** Reads a page in its turn, and gives it to the session. */
  readonly read: (read: Read<DirectConnection>) => void
  readonly save: (connection: DirectConnection) => void
}

export class DirectConnection extends Resident implements Follower {
  readonly session: DirectSession
  /**
   * A page counts only while the mailboxes have the backlog up to here: else the store has rolled back since it was
   * settled.
   */
  dlq: number | undefined = undefined
  private readonly shared: DirectShared

  constructor(session: DirectSession, partition: number, transport: Transport, shared: DirectShared) {
    super(partition, transport, shared)
    this.session = session
    this.shared = shared
    shared.feeds.enter(this)
  }

  /** What there is to save of it. */
  fact(): (OffsetOwner & ClientOffset) | undefined {
    this.shared.feeds.inform(this)
    const { fact } = this.session
    const { clientId, epoch } = this.session
    return fact === undefined ? undefined : { clientId, epoch, log: this.shared.incarnation, ...fact }
  }

  /** Somebody newer may be elsewhere: the registry knows. */
  sweep(): void {
    if (!this.isClosed) this.shared.presences.write(this.presence)
  }

  /** The route of an earlier session: its results come by the log. */
  push(): boolean {
    return false
  }

  /** The mailbox is read only where the log does not help. */
  mail(): void {}

  override trim(): void {
    super.trim()
    this.shared.save(this)
  }

  protected override leave(): void {
    this.shared.feeds.leave(this)
    super.leave()
  }

  carryOut(): void {
    for (const output of this.session.take()) {
      if (this.isClosed) return
      this.carry(output)
    }
  }

  private carry(output: DirectOutput): void {
    const { shared } = this
    switch (output._tag) {
      case "Deliver":
        return this.deliver(output.items)
      case "Trim":
        shared.journey.acknowledged(this.clientId, output.seq)
        return this.trim()
      case "Sweep":
        return this.sweep()
      case "Welcome":
        return this.welcome(output.after)
      case "Status":
        return this.statusChanged()
      case "Lost":
        return this.lost(output)
      case "Read":
        return shared.read({ connection: this, after: output.after, limit: output.limit })
      case "Follow":
        return shared.feeds.follow(this)
      case "Settle":
        return shared.feeds.settle(this)
    }
  }

  // As its feed sees it

  get position(): number | undefined {
    return this.session.position
  }

  records(records: ReadonlyArray<LogItem>, next: number): boolean {
    if (this.isClosed) return false
    const goesOn = this.session.records(records, next)
    this.carryOut()
    return goesOn && !this.isClosed
  }

  passed(next: number): void {
    this.session.passed(next)
  }

  gap(): void {
    this.session.gap()
    this.carryOut()
  }

  caughtUp(): void {
    this.session.caughtUp()
    this.carryOut()
  }

  fellBehind(): void {
    this.session.fellBehind()
    this.carryOut()
  }
}
