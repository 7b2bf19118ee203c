/**
 * A client's application: numbers its events from 1, sends each until it is accepted, and keeps a list of what it was
 * shown. Its own state is as durable as its client's memory: after a crash it goes on from what that has.
 */
import type { ClientId } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import { Demand } from "./Demand.ts"
import type { Kernel } from "./Kernel.ts"
import type { Process } from "./Process.ts"
import * as Production from "./Production.ts"
import type { Trace } from "./Trace.ts"

export interface ApplicationOptions {
  readonly clientId: ClientId
  /** Whether it chooses the ids of its events. */
  readonly names: boolean
  /** The name of its `n`th event. */
  readonly nameOf: (n: number) => string
  readonly disk: Production.Disk
  readonly kernel: Kernel
  readonly trace: Trace
  readonly onShown: (shown: Production.Shown | Production.Loss) => void
}

export class Application {
  readonly clientId: ClientId
  readonly names: boolean
  readonly disk: Production.Disk
  /** Until then each step takes as long as it does. */
  busyUntil_ms = 0
  /** Set by a fault: called when it next wants to send something, once. */
  onWant: (() => void) | undefined = undefined
  readonly accepted = new Set<number>()
  shown: Array<Production.Shown> = []
  private readonly options: ApplicationOptions
  /** Numbers given out so far, and those to be sent by the life that is on. */
  private last = 0
  private waiting: Array<Production.Sending> = []
  private readonly work = new Demand()
  /** To be cancelled: of this life alone. */
  private cancels: Array<string> = []
  private readonly cancelling = new Demand()
  readonly nameOf: (n: number) => string

  constructor(options: ApplicationOptions) {
    this.clientId = options.clientId
    this.names = options.names
    this.disk = options.disk
    this.nameOf = options.nameOf
    this.options = options
  }

  /** How many events it wanted to send. */
  get wanted(): number {
    return this.last
  }

  want(events: number): void {
    for (let i = 0; i < events; i++) this.waiting.push(this.sending(++this.last))
    this.work.wake()
    this.onWant?.()
    this.onWant = undefined
  }

  /** It wants the task of this event to end. */
  cancel(id: string): void {
    this.cancels.push(id)
    this.cancelling.wake()
  }

  /** A new life begins: what the disk does not know did not happen. */
  restart(): void {
    const { disk } = this
    this.shown = this.shown.filter(({ seq }) => seq <= disk.last)
    this.waiting = []
    this.cancels = []
    for (let n = 1; n <= this.last; n++) {
      if (this.accepted.has(n)) continue
      // Without a name of its own it could not be known again: what the memory has, the memory sends.
      if (disk.sent.has(n) && !this.names) this.accepted.add(n)
      else this.waiting.push(this.sending(n))
    }
  }

  /** As its program in this process sees it. */
  in(process: Process): Production.Application {
    const { kernel, trace } = this.options
    return {
      next: this.work.take(process, () => {
        const taken = this.waiting
        this.waiting = []
        if (taken.length > 0) trace.say(process.name, () => `sends ${taken.map(({ n }) => n).join(" ")}`)
        return taken.length === 0 ? undefined : taken
      }),
      nextCancel: this.cancelling.take(process, () => this.cancels.shift()),
      accepted: (events) => {
        for (const { n } of events) this.accepted.add(n)
        trace.say(process.name, () => `knows as accepted ${events.map(({ n }) => n).join(" ")}`)
      },
      shown: (shown) =>
        Effect.suspend(() => {
          const isLoss = Production.isLoss(shown)
          trace.say(process.name, () =>
            isLoss ? `is told lost (${shown.after}, ${shown.upTo ?? "?"}]` : `shows ${shown.seq} ${shown.id}`,
          )
          if (!isLoss) this.shown.push(shown)
          this.options.onShown(shown)
          const busy_ms = this.busyUntil_ms - kernel.now_ms
          if (busy_ms <= 0) return Effect.void
          trace.count("fault: a client does not acknowledge")
          return Effect.sleep(busy_ms)
        }),
    }
  }

  private sending(n: number): Production.Sending {
    return { n, name: this.nameOf(n), id: this.names ? `${this.clientId}-e${n}` : undefined }
  }
}
