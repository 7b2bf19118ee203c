/**
 * One connection of direct delivery at this gateway: its session's core, the transport it came in by, and its place in
 * the partition's feed.
 */
import { DirectSession } from "@nimbus/domain/protocol"
import type { ClientOffset, OffsetOwner } from "@nimbus/domain/services"
import type { Transport } from "../../Transport.ts"
import type { Read } from "../Reads.ts"
import { Resident, type ResidentShared } from "../Resident.ts"

export interface DirectShared extends ResidentShared {
  readonly feeds: {
    readonly enter: (connection: DirectConnection) => void
    readonly leave: (connection: DirectConnection) => void
    readonly follow: (connection: DirectConnection) => void
    readonly unfollow: (connection: DirectConnection) => void
    /** Tells the session how far it has got. */
    readonly inform: (connection: DirectConnection) => void
    readonly settle: (connection: DirectConnection) => void
  }
  /** Reads a page in its turn, and gives it to the session. */
  readonly read: (read: Read<DirectConnection>) => void
  readonly save: (connection: DirectConnection) => void
}

export class DirectConnection extends Resident<DirectSession.Output> {
  readonly session: DirectSession.State
  /** A page counts only while the mailboxes have the backlog up to here: else the store has rolled back since it was settled. */
  dlq: number | undefined = undefined
  private readonly shared: DirectShared

  constructor(session: DirectSession.State, partition: number, transport: Transport, shared: DirectShared) {
    super(partition, transport, shared)
    this.session = session
    this.shared = shared
    shared.feeds.enter(this)
  }

  /** What there is to save of it. */
  fact(): (OffsetOwner & ClientOffset) | undefined {
    this.shared.feeds.inform(this)
    const fact = DirectSession.factOf(this.session)
    const { clientId, epoch } = this.session
    return fact === undefined ? undefined : { clientId, epoch, log: this.shared.incarnation, ...fact }
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

  step(input: DirectSession.Input): void {
    try {
      this.shared.steps.directSession(this.session, input, this.outputs)
    } catch (defect) {
      this.broke(defect)
    }
  }

  protected carry(output: DirectSession.Output): void {
    const { shared } = this
    switch (output._tag) {
      case "Trim":
        shared.journey.acknowledged(this.clientId, output.seq)
        return this.trim()
      case "Read":
        return shared.read({ connection: this, after: output.after, limit: output.limit })
      case "Follow":
        return shared.feeds.follow(this)
      case "Leave":
        return shared.feeds.unfollow(this)
      case "Settle":
        return shared.feeds.settle(this)
      default:
        return this.carryShared(output)
    }
  }
}
