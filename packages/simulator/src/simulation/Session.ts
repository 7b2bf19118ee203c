/** What must hold of one session of a client at a gateway, told by its transport. */
import type { ClientId, Cursor, Epoch, Item, PodId } from "@nimbus/domain/protocol"
import type { Loss, SessionWatcher } from "./Production.ts"

/** What a session has to be held against. */
export interface Facts {
  /** The client's next record above `after` that it does not have yet and that no loss is told of. */
  next(after: number, told: ReadonlyArray<Told>): number | undefined
  /** A loss as it is told; `undefined`: nothing may be lost here. */
  lost(loss: Loss): Told | undefined
  isNewest(): boolean
  mustBeNewest(): boolean
  /** Told once, when the session is open. */
  uses(epoch: Epoch): void
  ended(): void
  report(rule: string, message: string): void
}

/** A loss that was told when the log ended at `end`. */
export interface Told extends Loss {
  readonly end: number
}

export class Session implements SessionWatcher {
  readonly pod: PodId
  readonly clientId: ClientId
  currentStatus = "opening"
  private readonly window: number
  private readonly facts: Facts
  private epoch: Epoch | undefined = undefined
  private readonly order: number
  private cursor = -1
  private unacknowledged: Array<number> = []
  private readonly losses: Array<Told> = []

  constructor(pod: PodId, clientId: ClientId, order: number, window: number, facts: Facts) {
    this.pod = pod
    this.order = order
    this.clientId = clientId
    this.window = window
    this.facts = facts
  }

  welcomed(epoch: Epoch, after: Cursor): void {
    this.facts.uses(epoch)
    this.epoch = epoch
    this.cursor = after
    this.currentStatus = "REPLAYING"
  }

  /** By epoch; where a registry that rolled back gave one twice, by when it was opened. */
  isNewerThan(other: Session): boolean {
    const [mine, its] = [this.epoch ?? -1, other.epoch ?? -1]
    return mine > its || (mine === its && this.order > other.order)
  }

  delivered(items: ReadonlyArray<Item>): void {
    for (const { seq } of items) {
      const next = this.facts.next(this.cursor, this.losses)
      if (seq <= this.cursor || (next !== undefined && seq > next)) {
        return this.facts.report(
          "a session delivers without gaps",
          `${this.name} gets ${seq} after ${this.cursor}, not ${next}`,
        )
      }
      this.cursor = seq
      this.unacknowledged.push(seq)
    }
    if (this.unacknowledged.length > this.window) {
      return this.facts.report(
        "bounds",
        `${this.name} has ${this.unacknowledged.length} of ${this.window} unacknowledged`,
      )
    }
    if (this.facts.mustBeNewest() && !this.facts.isNewest()) {
      return this.facts.report("only the newest session delivers", `${this.name} is an older one`)
    }
  }

  acknowledged(seq: Cursor): void {
    this.unacknowledged = this.unacknowledged.filter((sent) => sent > seq)
  }

  status(status: string): void {
    this.currentStatus = status
  }

  lost(loss: Loss): void {
    const told = this.facts.lost(loss)
    if (told === undefined) return this.facts.report("nothing is lost", `${this.name} tells its client of a loss`)
    this.losses.push(told)
    if (loss.upTo !== undefined) this.cursor = Math.max(this.cursor, loss.upTo)
  }

  closed(): void {
    this.currentStatus = "closed"
    this.facts.ended()
  }

  private get name(): string {
    return `the session of ${this.clientId} at ${this.pod} (${this.epoch})`
  }
}
