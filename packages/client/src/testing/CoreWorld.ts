/**
 * A world for the core: an application, a memory, a network, the model of a gateway and a list of actions that drives
 * them, each action one step of one part. Says in the end what was promised and not kept.
 *
 * The consumer's work is durable together with the cursor: what it was through with and had not saved at a crash is
 * undone by the crash. The readers of tasks keep nothing: a crash ends them, and whoever resumes a task begins with an empty
 * text. Little is kept of tasks, so that parts are held back and forgotten.
 */
import { ClientId, EventId, type Frames, type Incarnation } from "@nimbus/domain/protocol"
import * as Core from "../Core.ts"
import { look, nextOf, type Place } from "../KeptTasks.ts"
import { type ClientLimits, clientLimits } from "../Limits.ts"
import { apply, type Change, empty, type Ledger, toLedger, toRemembered } from "../Memory.ts"
import { GatewayModel, type TaskModel } from "./GatewayModel.ts"

/** Rules taken away from the shell or the memory, to see that they are needed. */
export interface Faults {
  readonly ackOnDelivery?: boolean
  readonly resumeAfterDelivered?: boolean
  readonly ackBeforeSave?: boolean
  readonly writeBeforeSave?: boolean
  readonly forgetDoubts?: boolean
  readonly forgetUnaccepted?: boolean
  readonly forgetParts?: boolean
  readonly forgetCancels?: boolean
  readonly forgetStreams?: boolean
  readonly readEarly?: boolean
  /** No rule of the client's, but one more of the pipeline's: it recognises each id that was used before, however long ago. */
  readonly endlessWindow?: boolean
  readonly noDoubts?: boolean
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
  "stream",
  "look",
  "look",
  "leave",
  "resume",
  "cancel",
  "gatewayConfirms",
  "taskPart",
  "taskPart",
  "taskPart",
  "taskDies",
  "taskEnds",
  "exchange",
  "exchange",
  "exchange",
] as const
type Action = (typeof actions)[number]

/** Three tasks are kept, and two parts or so. */
const limits = { ...clientLimits, tasks: 3, task_chars: 10 }

/** The most that a part has. */
const part_chars = 8

/** Who reads a task, and what it has shown. */
interface Reader extends Place {
  readonly id: EventId
  readonly reader: number
  text: Array<unknown>
  /** The number of the first part that it got. */
  first: number
  /** A later reader of the same task came: what that one reads is kept no longer for this one. */
  isOvertaken: boolean
}

interface Batch {
  readonly log: Incarnation
  readonly items: ReadonlyArray<Core.Delivery>
}

class World {
  private readonly faults: Faults
  private readonly onSave: OnSave
  private readonly gateway: GatewayModel
  private readonly limits: ClientLimits
  private readonly saved: Ledger = toLedger(empty)
  private core: Core.State
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
  private readonly found: Array<string> = []
  private readers: Array<Reader> = []
  private reads = 0
  private readonly streamed: Array<EventId> = []
  /** For good: that they are streamed, are to be cancelled, or are kept no longer. */
  private readonly started = new Set<EventId>()
  private readonly cancelled = new Set<EventId>()
  private readonly discarded = new Set<EventId>()

  constructor(faults: Faults, onSave: OnSave) {
    this.faults = faults
    this.gateway = new GatewayModel(8, faults.endlessWindow === true ? Infinity : undefined)
    this.limits = faults.noDoubts === true ? { ...limits, doubtful_ids: 0 } : limits
    this.core = Core.make(empty, this.limits)
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
    stream: (by) => {
      const id = EventId.make(`s${this.sent++}`)
      this.streamed.push(id)
      const name = by % 2 === 0 ? "ask" : "askOn"
      const event = { id, frame: JSON.stringify({ type: "event", id, name }) }
      this.tell({ _tag: "Send", events: [event], named: by % 3 === 0, stream: name })
      this.attach(id)
    },
    look: (by) => this.look(pick(this.readers, by)),
    leave: (by) => {
      const reader = pick(this.readers, by)
      if (reader === undefined) return
      this.readers = this.readers.filter((other) => other !== reader)
      const { id } = reader
      const newest = this.readers.findLast((other) => other.id === id)
      if (newest === undefined) this.tell({ _tag: "Left", id, reader: reader.reader })
      else this.tell({ _tag: "Read", id, reader: newest.reader, began: newest.began, next: newest.next })
    },
    resume: (by) => this.attach(pick([...this.core.ledger.tasks.keys()], by)),
    cancel: (by) => {
      const id = by % 4 === 0 ? pick(this.streamed, by >> 2) : undefined
      if (id !== undefined) this.tell({ _tag: "Cancel", id })
    },
    /** What waits goes through, so that much happens in a few actions. */
    exchange: () => this.exchange(),
    gatewayConfirms: () => this.fromGateway(this.gateway.confirm()),
    taskPart: (by) => {
      const task = pick(this.gateway.openTasks, by)
      if (task !== undefined) this.gateway.partOf(task)
    },
    taskDies: (by) => {
      const task = pick(this.gateway.openTasks, by)
      if (task !== undefined) this.gateway.beginTask(task)
    },
    taskEnds: (by) => {
      const task = pick(this.gateway.openTasks, by >> 1)
      if (task !== undefined) this.gateway.endTask(task, by % 2 === 0 ? "done" : "failed")
    },
  }

  private attach(id: EventId | undefined): void {
    const task = id === undefined ? undefined : this.core.ledger.tasks.get(id)
    if (task === undefined) return
    const reader = {
      id: task.id,
      reader: this.reads++,
      began: task.began,
      next: 0,
      text: [],
      first: 0,
      isOvertaken: false,
    }
    for (const other of this.readers) if (other.id === reader.id) other.isOvertaken = true
    this.readers.push(reader)
    this.look(reader)
  }

  /** As a reader of `TaskStreams` does. */
  private look(reader: Reader | undefined): void {
    const task = reader === undefined ? undefined : this.core.ledger.tasks.get(reader.id)
    if (reader === undefined || task === undefined) return
    const { began, id, next } = reader
    const isNewest = this.readers.findLast((other) => other.id === id) === reader
    const isFirst = next === 0 && reader.text.length === 0
    if (isNewest) {
      this.tell({
        _tag: "Read",
        id,
        reader: reader.reader,
        began,
        next: this.faults.readEarly === true ? nextOf(task) : next,
      })
    }
    for (const event of look(task, reader)) {
      if (event.type === "part") reader.text.push(event.data)
      else if (event.type === "restart") {
        reader.text = []
        reader.first = 0
      } else {
        reader.first = event.parts
        reader.text = []
        if (!isFirst && !reader.isOvertaken) this.found.push(`a reader of ${id} missed ${event.parts} parts`)
      }
    }
  }

  rest(): void {
    while (this.hung.length > 0) this.steps.hungGatewayPublishes(0)
    this.settle(200)
    // Of two copies of an event, the cancel hits the later one, unless that comes behind it.
    for (const id of this.cancelled) {
      const copies = this.gateway.tasks.filter((task) => task.id === id)
      if (copies.length > 0 && copies.every(({ end }) => end === undefined)) {
        this.found.push(`${id} was to be cancelled and was not`)
      }
    }
    for (const task of this.gateway.openTasks) {
      this.gateway.partOf(task)
      this.gateway.endTask(task, "done")
    }
    this.settle(300)
  }

  private exchange(): void {
    this.flush()
    while (this.up.length > 0) this.steps.gatewayHears(0)
    this.fromGateway(this.gateway.accept())
    this.fromGateway(this.gateway.confirm())
    this.fromGateway(this.gateway.deliver())
    while (this.down.length > 0) this.steps.clientHears(0)
  }

  private settle(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      this.connect()
      this.exchange()
      while (this.inbox.length > 0) this.consume(100)
      for (const reader of this.readers) this.look(reader)
    }
  }

  violations(): ReadonlyArray<string> {
    const found = [...this.gateway.faults, ...this.found]
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
      // The first one is answered, or lost. Tasks are looked at below.
      if (item.repeated !== undefined || (item.of !== undefined && this.started.has(item.of))) continue
      if (!seen.has(item.id) && !isLost(seq)) found.push(`${item.id} at ${seq} was never seen`)
    }
    for (const item of results)
      if (item.of !== undefined && this.isKept(item.of)) found.push(`${item.id} was no result`)
    for (const id of this.started) this.checkTask(id, losses.length > 0, found)
    const logged = new Set<string>(this.gateway.log.map(({ item }) => item.id))
    for (const { id } of this.gateway.tasks) logged.add(id)
    for (const id of this.promised) if (!logged.has(id)) found.push(`${id} was to be sent and never was`)
    for (const id of this.told) if (!logged.has(id)) found.push(`${id} was called accepted and is not`)
    return found
  }

  /** Its items are for its readers alone. */
  private isKept(id: EventId): boolean {
    return this.started.has(id) && !this.discarded.has(id) && this.core.ledger.tasks.get(id)?.end?.as !== "lost"
  }

  /** What is kept of it, and what its readers have shown, is what its last attempt has published. */
  private checkTask(id: EventId, hasLosses: boolean, found: Array<string>): void {
    const kept = this.core.ledger.tasks.get(id)
    const copies = this.gateway.tasks.filter((task) => task.id === id)
    if (kept === undefined) {
      if (!this.discarded.has(id)) found.push(`${id} was forgotten`)
      return
    }
    if (kept.end?.as === "lost" && hasLosses) return
    const isRight = (task: TaskModel): boolean =>
      kept.end?.as === task.end &&
      isEqual(kept.parts, task.parts.slice(kept.first)) &&
      this.readers.every((reader) => reader.id !== id || isEqual(reader.text, task.parts.slice(reader.first)))
    if (!copies.some(isRight)) found.push(`${id} is not as it was published: ${JSON.stringify({ kept, copies })}`)
  }

  private send(id: string, named: boolean): void {
    const event = { id: EventId.make(id), frame: JSON.stringify({ type: "event", id, name: "sq" }) }
    this.tell({ _tag: "Send", events: [event], named })
  }

  private tell(input: Core.Input): void {
    for (const output of Core.step(this.core, input)) this.carryOut(output)
    const tasks = [...this.core.ledger.tasks.values()]
    const chars = tasks.reduce((sum, task) => sum + task.chars, 0)
    if (chars > limits.task_chars + tasks.length * part_chars) this.found.push(`${chars} chars of parts are kept`)
  }

  private carryOut(output: Core.Output): void {
    switch (output._tag) {
      case "Remember":
        this.changes.push(output.change)
        return
      case "Write":
        for (const { frame } of output.events) this.write(frame, this.faults.writeBeforeSave)
        return
      case "WriteCancels":
        for (const id of output.ids) this.write(JSON.stringify({ type: "cancel", id }))
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
        this.found.push(output.reason)
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
    if (change._tag === "Started") {
      this.started.add(change.id)
      if (this.faults.forgetStreams) return
    }
    if (change._tag === "Cancelled") {
      for (const id of change.ids) this.cancelled.add(id)
      if (this.faults.forgetCancels) return
    }
    if (change._tag === "Discarded") for (const id of change.ids) this.discarded.add(id)
    if (this.faults.forgetParts && change._tag === "Part") return
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
    if (isHung) this.hung.push(...this.up.filter((frame) => !frame.includes(`"ack"`)))
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
    this.readers = []
    this.core = Core.make(toRemembered(this.saved), this.limits)
  }

  private fromGateway(frame: Frames.ServerFrame | undefined): void {
    if (this.isConnected && frame !== undefined) this.down.push(frame)
  }
}

const pick = <A>(items: ReadonlyArray<A>, by: number): A | undefined => items[by % Math.max(1, items.length)]

const isEqual = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

const ack = (seq: number): string => JSON.stringify({ type: "ack", seq })
