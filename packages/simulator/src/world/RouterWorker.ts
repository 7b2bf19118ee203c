/** The result consumer's shell around the production `Router`: reads, publishes, writes the backlog, hears acks. */
import {
  type AckMessage,
  type ClientId,
  clientIdUnsafe,
  peekSeq,
  type RouteId,
  Router,
  RouterId,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { spilledOf } from "../CoreObserver.ts"
import type { Did, Parts } from "./Parts.ts"

export class RouterWorker {
  readonly name: string
  readonly router: Router.State
  private readonly parts: Parts
  private position: number
  private produce: { readonly spill: Router.SpillBatch; isAppended: boolean } | undefined = undefined
  /** Not taken yet. */
  private commit: number | undefined = undefined
  private unreceived: Array<{ readonly clientId: ClientId; readonly route: RouteId }> = []

  constructor(name: string, parts: Parts, position: number) {
    this.name = name
    this.parts = parts
    this.position = position
    this.router = Router.make(parts.limits.router, RouterId.make(name))
  }

  get readAt(): number {
    return this.position
  }

  /** Nothing is left to do but to read on. */
  get isIdle(): boolean {
    return this.produce === undefined && this.unreceived.length === 0 && Router.spillSize(this.router) === 0
  }

  seek(position: number): Did {
    this.position = position
    return `${this.name} goes on from result ${position}`
  }

  /** Routes the next `max` results. That a push had no receiver is heard later. */
  read(max: number): Did {
    const chunk = this.parts.results.read(this.position, max)
    if (chunk === undefined) return undefined
    // What is forgotten is committed by whoever reads it again.
    if (chunk.from !== this.router.position) this.commit = undefined
    const outputs = this.step({ _tag: "Chunk", chunk })
    this.position = chunk.next
    const said: Array<string> = []
    for (const output of outputs) {
      if (output._tag !== "Publish") continue
      const { pod, pushes } = output
      const isReceived = this.parts.pods.publish(pod, pushes)
      for (const { clientId, prev, route, seq } of pushes) {
        if (!isReceived) this.unreceived.push({ clientId, route })
        said.push(`${clientId} ${prev}→${seq} to ${pod}${isReceived ? "" : ", which nobody received"}`)
      }
    }
    const records = chunk.records.map(({ key, value }) => `${key} ${peekSeq(value)}`).join(", ")
    return `${this.name} reads ${records}${said.length > 0 ? `; pushes ${said.join(", ")}` : ""}`
  }

  hearUnreceived(): Did {
    const unreceived = this.unreceived.splice(0)
    if (unreceived.length === 0) return undefined
    for (const of of unreceived) this.step({ _tag: "Unreceived", ...of })
    return `${this.name} learns that nobody received pushes to ${unreceived.map(({ clientId }) => clientId).join(", ")}`
  }

  hear(message: AckMessage): void {
    this.step(message)
  }

  /** Begins the next backlog produce. */
  takeSpill(max: number): Did {
    if (this.produce !== undefined) return undefined
    for (const output of this.step({ _tag: "Write", records: max })) {
      if (output._tag !== "Spill") continue
      this.produce = { spill: output.spill, isAppended: false }
      return `${this.name} spills ${output.spill.records.map(textOf).join(", ")}`
    }
    return undefined
  }

  /** The backlog takes the produce; once more if it is repeated. */
  appendSpill(): Did {
    if (this.produce === undefined) return undefined
    const { records } = this.produce.spill
    for (const { key, value } of records) this.parts.dlq.append(clientIdUnsafe(key), value)
    this.produce.isAppended = true
    this.parts.observe({ _tag: "Appends", worker: this.name, ...spilledOf(records) })
    return `${this.name}: the backlog has ${records.map(textOf).join(", ")}`
  }

  /** The produce is acknowledged. */
  confirmSpill(): Did {
    if (this.produce?.isAppended !== true) return undefined
    this.step({ _tag: "Spilled", spill: this.produce.spill })
    this.produce = undefined
    return `${this.name} hears that its spill is in the backlog`
  }

  pass(): void {
    this.step({ _tag: "Tick" })
  }

  /** The commit, if it has moved since the last call. */
  takeCommit(): number | undefined {
    const { commit } = this
    this.commit = undefined
    return commit
  }

  private step(input: Router.Input): ReadonlyArray<Router.Output> {
    const outputs = this.parts.steps.router(this.router, input)
    for (const output of outputs) if (output._tag === "Commit") this.commit = output.next
    return outputs
  }
}

const textOf = ({ key, value }: StoredRecord): string => `${key} ${peekSeq(value)}`
