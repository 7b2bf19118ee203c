/**
 * A world for the core: an application, a memory, a network, the model of a gateway and a list of actions that drives
 * them, each action one step of one part. Says in the end what was promised and not kept.
 *
 * The consumer's work is durable together with the cursor: what it was through with and had not saved at a crash is
 * undone by the crash.
 */
import { ClientId, EventId, type Frames, type Incarnation } from "@nimbus/domain/protocol"
import * as Core from "../Core.ts"
import { apply, type Change, empty, type Ledger, toLedger, toRemembered } from "../Memory.ts"
import { GatewayModel } from "./GatewayModel.ts"

/** Rules taken away from the shell or the memory, to see that they are needed. */
export interface Faults {
  readonly ackOnDelivery?: boolean
  readonly resumeAfterDelivered?: boolean
  readonly ackBeforeSave?: boolean
  readonly writeBeforeSave?: boolean
  readonly forgetDoubts?: boolean
  readonly forgetUnaccepted?: boolean
}

type OnSave = (core: Core.State, changes: ReadonlyArray<Change>) => void

/** Runs the schedule, then lets everything come to rest without further failures; returns what is wrong then. */
export const runSchedule = (schedule: ReadonlyArray<number>, faults: Faults = {}, onSave: OnSave = () => {}) => {
  const world = new World(faults, onSave)
  for (const action of schedule) world.act(action)
  world.rest()
  return world.violations()
}

const actions = [
  "send",
  "send",
  "sendNamed",
  "sendNamedAgain",
  "flush",
  "flush",
  "gatewayHears",
  "gatewayHears",
  "gatewayAccepts",
  "gatewayDelivers",
  "gatewayDelivers",
  "clientHears",
  "clientHears",
  "clientHears",
  "consume",
  "consume",
  "connect",
  "connect",
  "disconnect",
  "crash",
  "hungGatewayPublishes",
  "publishMessage",
  "retain",
] as const
type Action = (typeof actions)[number]

interface Batch {
  readonly log: Incarnation
  readonly items: ReadonlyArray<Core.Delivery>
}

class World {
  private readonly faults: Faults
  private readonly onSave: OnSave
  private readonly gateway = new GatewayModel()
  private readonly saved: Ledger = toLedger(empty)
  private core = Core.make(empty)
  private changes: Array<Change> = []
  private frames: Array<string> = []
  private isConnected = false
  private up: Array<string> = []
  private down: Array<Frames.ServerFrame> = []
  private hung: Array<string> = []
  private inbox: Array<Batch> = []
  /** What the consumer has seen: for good, and since the last save. */
  private readonly list: Array<Core.Delivery> = []
  private unsaved: Array<Core.Delivery> = []
  private sent = 0
  private readonly named: Array<string> = []
  private readonly promised = new Set<string>()
  private readonly told = new Set<string>()
  private readonly cuts: Array<string> = []

  constructor(faults: Faults, onSave: OnSave) {
    this.faults = faults
    this.onSave = onSave
  }

  act(number: number): void {
    const by = Math.floor(number / actions.length)
    this.steps[actions[number % actions.length]!](by)
  }

  /** `by` picks among what an action may do. */
  private readonly steps: Record<Action, (by: number) => void> = {
    send: () => this.send(`e${this.sent++}`, false),
    sendNamed: () => {
      this.named.push(`n${this.sent}`)
      this.send(`n${this.sent++}`, true)
    },
    sendNamedAgain: (by) => {
      const id = this.named[by % Math.max(1, this.named.length)]
      if (id !== undefined) this.send(id, true)
    },
    flush: () => this.flush(),
    gatewayHears: () => {
      const frame = this.up.shift()
      if (frame !== undefined) this.gateway.hear(frame)
    },
    gatewayAccepts: () => this.fromGateway(this.gateway.accept()),
    gatewayDelivers: (by) => this.fromGateway(this.gateway.deliver(1 + (by % 4))),
    clientHears: () => {
      const frame = this.down.shift()
      if (frame !== undefined) this.tell({ _tag: "Heard", frame })
    },
    consume: (by) => this.consume(1 + (by % 4)),
    connect: () => this.connect(),
    disconnect: (by) => this.disconnect(by % 2 === 0),
    crash: (by) => this.crash(by % 2 === 0),
    hungGatewayPublishes: () => {
      const frame = this.hung.shift()
      if (frame !== undefined) this.gateway.append(frame)
    },
    publishMessage: () => this.gateway.publish(`m${this.sent++}`),
    retain: (by) => {
      if (by % 8 === 0) this.gateway.retain(1)
    },
  }

  rest(): void {
    while (this.hung.length > 0) this.steps.hungGatewayPublishes(0)
    for (let round = 0; round < 500; round++) {
      this.connect()
      this.flush()
      while (this.up.length > 0) this.steps.gatewayHears(0)
      this.fromGateway(this.gateway.accept())
      this.fromGateway(this.gateway.deliver())
      while (this.down.length > 0) this.steps.clientHears(0)
      while (this.inbox.length > 0) this.consume(100)
    }
  }

  violations(): ReadonlyArray<string> {
    const found = [...this.gateway.faults, ...this.cuts]
    const results = this.list.filter((delivery): delivery is Frames.ResultItem => !Core.isLost(delivery))
    const losses = this.list.filter(Core.isLost)
    results.forEach((item, i) => {
      if (i > 0 && item.seq <= results[i - 1]!.seq) found.push(`${item.seq} came after ${results[i - 1]!.seq}`)
    })
    const seen = new Set<string>()
    for (const { id, repeated } of results) {
      if (repeated !== undefined) found.push(`a repeat of ${id} was shown`)
      if (seen.has(id)) found.push(`${id} was seen twice`)
      seen.add(id)
    }
    const isLost = (seq: number) => losses.some((lost) => seq > lost.after && seq <= (lost.upTo ?? seq))
    for (const { item, seq } of this.gateway.log) {
      // The first one is answered, or lost.
      if (item.repeated !== undefined) continue
      if (!seen.has(item.id) && !isLost(seq)) found.push(`${item.id} at ${seq} was never seen`)
    }
    const logged = new Set<string>(this.gateway.log.map(({ item }) => item.id))
    for (const id of this.promised) if (!logged.has(id)) found.push(`${id} was to be sent and never was`)
    for (const id of this.told) if (!logged.has(id)) found.push(`${id} was called accepted and is not`)
    return found
  }

  private send(id: string, named: boolean): void {
    const event = { id: EventId.make(id), frame: JSON.stringify({ type: "event", id, name: "sq" }) }
    this.tell({ _tag: "Send", events: [event], named })
  }

  private tell(input: Core.Input): void {
    for (const output of Core.step(this.core, input)) this.carryOut(output)
  }

  private carryOut(output: Core.Output): void {
    switch (output._tag) {
      case "Remember":
        this.changes.push(output.change)
        return
      case "Write":
        for (const { frame } of output.events) this.write(frame, this.faults.writeBeforeSave)
        return
      case "Ack":
        return this.write(ack(output.seq), this.faults.ackBeforeSave)
      case "Deliver": {
        this.inbox.push(output)
        const last = output.items.at(-1)
        if (this.faults.ackOnDelivery && last !== undefined && !Core.isLost(last)) this.write(ack(last.seq), true)
        return
      }
      case "Accepted":
        for (const id of output.ids) this.told.add(id)
        return
      case "Cut":
        this.cuts.push(output.reason)
        return
    }
  }

  private write(frame: string, atOnce = false): void {
    if (atOnce && this.isConnected) this.up.push(frame)
    else this.frames.push(frame)
  }

  private flush(): void {
    const changes = this.changes
    this.changes = []
    for (const change of changes) this.save(change)
    this.list.push(...this.unsaved)
    this.unsaved = []
    if (this.isConnected) this.up.push(...this.frames)
    this.frames = []
    this.onSave(this.core, changes)
  }

  private save(change: Change): void {
    if (change._tag === "Sent") {
      for (const { id } of change.events) this.promised.add(id)
      if (this.faults.forgetUnaccepted) return
    }
    if (this.faults.forgetDoubts && (change._tag === "Doubted" || change._tag === "Answered")) return
    apply(this.saved, change)
  }

  private consume(most: number): void {
    const batch = this.inbox.shift()
    if (batch === undefined) return
    const items = batch.items.slice(0, most)
    const rest = batch.items.slice(most)
    if (rest.length > 0) this.inbox.unshift({ log: batch.log, items: rest })
    this.unsaved.push(...items)
    const last = items.at(-1)
    const seq = last === undefined ? undefined : Core.isLost(last) ? last.upTo : last.seq
    this.tell({ _tag: "Done", log: batch.log, seq, items: items.length })
  }

  private connect(): void {
    if (this.isConnected) return
    const resumption = Core.resume(this.core)
    this.flush()
    const query = new URLSearchParams({ clientId: ClientId.make("c1") })
    if (resumption !== undefined) {
      query.set("log", resumption.log)
      query.set("after", String(this.faults.resumeAfterDelivered ? this.core.received : resumption.after))
    }
    this.isConnected = true
    this.fromGateway(this.gateway.connect(`ws://gateway/?${query}`))
  }

  /** What was on its way is gone; the gateway may have read some of it and publish it whenever it likes. */
  private disconnect(isHung: boolean): void {
    if (!this.isConnected) return
    if (isHung) this.hung.push(...this.up.filter((frame) => frame.includes(`"event"`)))
    this.isConnected = false
    this.up = []
    this.down = []
    this.frames = []
    this.tell({ _tag: "Disconnected" })
  }

  private crash(isHung: boolean): void {
    this.disconnect(isHung)
    this.changes = []
    this.frames = []
    this.inbox = []
    this.unsaved = []
    this.core = Core.make(toRemembered(this.saved))
  }

  private fromGateway(frame: Frames.ServerFrame | undefined): void {
    if (this.isConnected && frame !== undefined) this.down.push(frame)
  }
}

const ack = (seq: number): string => JSON.stringify({ type: "ack", seq })
