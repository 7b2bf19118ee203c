/**
 * One connection of routed delivery at this gateway: the session's core, and the transport it came in by. It carries
 * out what the session decides, through the parts that all connections of the gateway share.
 */
import { encode, type Push, type Session } from "@nimbus/domain/protocol"
import type { Transport } from "../Transport.ts"
import type { Read } from "./Reads.ts"
import { Resident, type ResidentShared } from "./Resident.ts"

export interface Shared extends ResidentShared {
  /** Reads a page in its turn, and gives it to the session. */
  readonly read: (read: Read<Connection>) => void
  /** Whether a barrier may be published again in this tick. */
  readonly mayRepeatBarrier: () => boolean
}

type PublishBarrier = Session.Output & { readonly _tag: "PublishBarrier" }

const mailed = { _tag: "Mail" } as const

export class Connection extends Resident<Session.Output> {
  readonly session: Session.State
  private readonly shared: Shared
  /** To be published again, in a later tick: there were too many in this one. */
  private owed: PublishBarrier | undefined = undefined

  constructor(session: Session.State, partition: number, transport: Transport, shared: Shared) {
    super(partition, transport, shared)
    this.session = session
    this.shared = shared
  }

  push(push: Push): boolean {
    this.step(push)
    return true
  }

  mail(): void {
    this.step(mailed)
  }

  /** One that was held back in an earlier tick is the newest still, and nothing else ends that one is under way. */
  override tick(): void {
    if (this.owed !== undefined) this.publishBarrier(this.owed)
    super.tick()
  }

  step(input: Session.Input): void {
    try {
      this.shared.steps.session(this.session, input, this.outputs)
    } catch (defect) {
      this.broke(defect)
    }
  }

  protected carry(output: Session.Output): void {
    const { shared } = this
    switch (output._tag) {
      case "Read":
        return shared.read({ connection: this, after: output.after, limit: output.limit })
      case "Ack":
        shared.journey.acknowledged(this.clientId, output.seq)
        return shared.ackSender.ack(this.partition, this.clientId, output.seq)
      case "Nack":
        shared.counts.add("nacked", 1)
        return shared.ackSender.nack(this.partition, this.clientId, output.route)
      case "PublishBarrier":
        return this.publishBarrier(output)
      default:
        return this.carryShared(output)
    }
  }

  private publishBarrier(barrier: PublishBarrier): void {
    const { again, number } = barrier
    this.owed = again && !this.shared.mayRepeatBarrier() ? barrier : undefined
    if (this.owed !== undefined) return
    if (again) this.shared.counts.add("barriersAgain", 1)
    const { epoch, pod } = this.session
    this.shared.intake.putBarrier({ key: this.clientId, value: encode({ type: "barrier", epoch, pod, number }) })
  }
}
