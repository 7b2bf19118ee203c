/**
 * A whole Nimbus in virtual time: the production parts, each in a process of its own, between simulated services.
 *
 * ```
 *   clients ═══ network ═══ gateways ── events ──▶ event consumers ── results ──▶ result consumers ── backlog ─┐
 *                              ▲ ▲                                                  │        ▲             │
 *                              │ └────────── pod channel ───────────────────────────┘        │             │
 *                              │             ack channel ────────────────────────────────────┘             │
 *                              └── mailboxes, registry ◀──────────── replay consumers ◀────────────────────┘
 * ```
 *
 * One seed decides everything: what is sent when, every delay, every fault.
 */
import { handlerLimits, type MailboxLimits, mailboxLimits, taskLimits } from "@nimbus/domain/limits"
import {
  type AckMessage,
  ClientId,
  EventId,
  partitionOf,
  PodId,
  type PodMessage,
  TaskRecords,
} from "@nimbus/domain/protocol"
import {
  AckChannel,
  ClientOffsets,
  ClientOffsetsMemory,
  EventLog,
  type Handler,
  Handlers,
  Mailbox,
  MailboxMemory,
  PodChannel,
  Publisher,
  Registry,
  RegistryMemory,
  Topics,
} from "@nimbus/domain/services"
import { Dice } from "@nimbus/domain/testing/dice"
import { Context, Effect, Exit, Layer, Metric, Schema } from "effect"
import { Application } from "./Application.ts"
import { Bounds } from "./Bounds.ts"
import { ackChannelOf, Channel, podChannelOf } from "./Channels.ts"
import { type CoreProbe, watched } from "../CoreProbe.ts"
import { Checks } from "./Checks.ts"
import { type Task, TaskChecks } from "./TaskChecks.ts"
import { taskHandlers } from "./TaskHandlers.ts"
import * as TaskPlan from "./TaskPlan.ts"
import { Demand } from "./Demand.ts"
import { Kernel } from "./Kernel.ts"
import { Line } from "./Line.ts"
import { limitsOf } from "./Limits.ts"
import { Log } from "./Log.ts"
import { Machine } from "./Machine.ts"
import { Network } from "./Network.ts"
import { Process, type ProcessOptions } from "./Process.ts"
import { isLoss, type Production, type Role, roles, type Services } from "./Production.ts"
import { Mailboxes, Registries } from "./Stores.ts"
import { Trace } from "./Trace.ts"

export interface WorldOptions {
  readonly seed: number
  /** Other delays for the same seed. */
  readonly salt: number
  readonly clients: number
  /** In all, at most. */
  readonly events: number
  readonly isTraced: boolean
  /** Whether mailboxes may be small, and the backlog may lose its oldest: then clients are told. */
  readonly mayLose: boolean
  /** Whether some connections are of direct delivery. */
  readonly hasDirect: boolean
  /** Whether some events are those of tasks. */
  readonly hasTasks: boolean
}

const partitions = 2
const machinesOfRole: Readonly<Record<Role, number>> = {
  "event-consumer": 2,
  "result-consumer": 2,
  "replay-consumer": 2,
  "status-manager": 1,
  "task-worker": 2,
}
const gateways = 2
/** Messages that wait for one subscriber of a channel. */
const waiting_messages = 8

/** Of so many runs of a handler one is slow, where any is. */
const slow_one_in = 12
const max_handler_ms = 20_000

/** The name of an event that has a handler, and of one that has none; of so many events of a client one has none, where any has. */
const known = "echo"
const unknown = "nobody's"
const unknown_one_in = 7

/** Of so many events of a client one is that of a task, where there are any: of these, one after the other. */
const task_one_in = 3
const tasks: ReadonlyArray<TaskPlan.TaskName> = ["recite", "continue", "listen", "continue", "recite", "continue"]

/** What clients connect to. */
const urls = {
  routed: "ws://gateways.simulated/v1/stream",
  direct: "ws://gateways.simulated/approach2/events",
} as const

/** A client's program and the application that it serves. */
export interface ClientOf {
  readonly application: Application
  readonly machine: Machine
}

export const topics = Context.get(Effect.runSync(Effect.scoped(Layer.build(Topics.layerDefault))), Topics)

export class World {
  /** Told of each step of a router or a session. */
  probe: CoreProbe = { router: () => {}, session: () => {} }
  private readonly steps = watched({
    router: (...step) => this.probe.router(...step),
    session: (...step) => this.probe.session(...step),
    directSession: (session) => this.probe.directSession?.(session),
    feed: (feed) => this.probe.feed?.(feed),
  })
  readonly kernel = new Kernel()
  readonly trace: Trace
  private readonly metrics: (typeof Metric.MetricRegistry)["Service"] = new Map()
  readonly checks: Checks
  readonly bounds: Bounds
  readonly limits: ReturnType<typeof limitsOf>
  readonly log: Log
  readonly mailboxes: Mailboxes
  readonly registry: Registries
  readonly pods: Channel<PodId, PodMessage>
  readonly acks: Channel<number, AckMessage>
  readonly network: Network
  readonly machines: Readonly<Record<Role, ReadonlyArray<Machine>>>
  readonly gateways: ReadonlyArray<Machine>
  readonly clients: ReadonlyArray<ClientOf>
  private readonly production: Production
  private readonly mayLose: boolean
  /** Which connections are of direct delivery. */
  private readonly delivery: Dice | undefined
  /** How long the slow ones among handlers may take in this run. 0: none is slow. */
  private readonly slowHandler_ms: number
  /** How many events one process may handle at once, where there is a limit in this run. */
  private readonly handlersAtOnce: number | undefined
  /** Whether some events of this run have a name that no handler has. */
  private readonly hasUnknown: boolean
  private readonly seed: number
  private readonly hasTasks: boolean
  private readonly dice: Dice
  private readonly disks: Line
  private readonly offsets = ClientOffsetsMemory.makeMemory()
  private messages: Array<{ readonly clientId: ClientId; readonly id: string; readonly isCancel: boolean }> = []
  private readonly publishing = new Demand()
  private sent = 0

  constructor(production: Production, options: WorldOptions) {
    this.production = production
    this.dice = new Dice(options.seed * 7_919 + options.salt * 104_729 + 17)
    this.trace = new Trace(this.kernel, options.isTraced)
    const limits = limitsOf(new Dice(options.seed * 31 + 5))
    this.limits = options.mayLose ? limits : { ...limits, mailbox: mailboxLimits }
    this.mayLose = options.mayLose
    this.delivery = options.hasDirect ? new Dice(options.seed * 6_007 + 11) : undefined
    this.seed = options.seed
    this.hasTasks = options.hasTasks
    const planOf = (clientId: string, n: number) => TaskPlan.planOf(options.seed, clientId, n)
    this.checks = new Checks(
      topics,
      this.limits,
      Log.incarnation,
      this.trace,
      (report) => new TaskChecks({ limits: this.limits, trace: this.trace, planOf, report }),
    )
    this.checks.mayLose = this.limits.mailbox !== mailboxLimits
    this.bounds = new Bounds(this.limits, options.clients, options.events, (message) =>
      this.checks.report("bounds", `${Process.running}: ${message}`),
    )
    this.slowHandler_ms = new Dice(options.seed * 13 + 7).oneOf([0, 500, 3_000, max_handler_ms])
    this.handlersAtOnce = [undefined, undefined, 1, 2][new Dice(options.seed * 17 + 3).below(4)]
    this.hasUnknown = new Dice(options.seed * 23 + 13).oneIn(3)
    const line = (name: string) => new Line(name, this.kernel, this.trace, this.fork())
    this.log = new Log(line("log"), partitions, this.limits.chunk_records, this.checks)
    this.mailboxes = new Mailboxes(line("mailboxes"), claimedStore(this.log, this.limits.mailbox), this.checks)
    this.registry = new Registries(line("registry"), RegistryMemory.makeMemory())
    this.pods = new Channel(line("pod channel"), waiting_messages, podWords)
    this.acks = new Channel(line("ack channel"), waiting_messages, ackWords)
    this.disks = line("disks")
    this.network = new Network(this.kernel, this.trace, this.fork())
    const consumers = this.pipeline()
    this.machines = { ...consumers, "task-worker": [] }
    this.gateways = numbered(gateways).map((i) => this.machine(`gateway-${i}`, (process) => this.gateway(process)))
    this.machine("publisher", (process) => this.publisher(process))
    this.clients = numbered(options.clients).map((i) => this.client(i))
    // Last: a run without tasks is the same as it was.
    if (this.hasTasks) this.machines = { ...consumers, "task-worker": this.ofRole("task-worker") }
  }

  /** With what the production code has counted of itself. */
  get metricsContext(): Context.Context<never> {
    return Context.make(Metric.MetricRegistry, this.metrics)
  }

  get allMachines(): ReadonlyArray<Machine> {
    const consumers = roles.flatMap((role) => this.machines[role])
    return [...consumers, ...this.gateways, ...this.clients.map(({ machine }) => machine)]
  }

  /** The oldest part of a partition of the backlog is gone, whether it was put or not. */
  retain(partition: number, share: number): void {
    if (!this.mayLose) return
    this.checks.mayLose = true
    this.log.retain(topics.dlq, partition, share)
  }

  /** The oldest part of the results is gone, as far as the result consumers have committed: the backlog has it, or its client. */
  retainResults(partition: number, share: number): void {
    this.log.retain(topics.results, partition, share, "committed")
  }

  /** The store of the registry and of direct delivery's offsets is empty. */
  wipeRegistry(): void {
    this.registry.wipe()
    this.offsets.forget()
  }

  /** Another service has something for a client. */
  publish(clientId: ClientId): void {
    this.messages.push({ clientId, id: `m${++this.sent}`, isCancel: false })
    this.publishing.wake()
  }

  /** Its client cancels a task, a service in the client's name, or an operator: one that is open, or one that has ended. */
  cancel({ clientId, id, seq }: Pick<Task, "clientId" | "id" | "seq">): void {
    const client = this.clients.find(({ application }) => application.clientId === clientId)
    if (seq % 3 === 0) return client?.application.cancel(id)
    this.messages.push({ clientId: ClientId.make(clientId), id, isCancel: true })
    this.publishing.wake()
  }

  /** Those that would not end otherwise: where tasks get too old in the time of a run, the pipeline must end them. */
  cancelEndless(): void {
    if (this.limits.tasks.task_ttl_ms < taskLimits.task_ttl_ms) return
    for (const task of this.checks.tasks.tasks)
      if (task.isOpen && TaskPlan.taskKinds[task.name].isEndless) this.cancel(task)
  }

  /** Somebody else connects under the client's id, remembers and acknowledges nothing, and is gone after a while. */
  intrude(clientId: ClientId, for_ms: number): void {
    const process = new Process(this.processOptions(`intruder-${clientId}`))
    this.network.dial(process, `${urls.routed}?clientId=${clientId}`, (end) => {
      if (end === undefined) return
      this.trace.count("fault: an intruder connects")
      end.listen({
        text: () => {},
        drained: () => {},
        closed: (code) => this.trace.say(process.name, () => `is closed with ${code}`),
      })
    })
    this.kernel.after(for_ms, () => process.crash())
  }

  // Parts

  private pipeline() {
    return {
      "event-consumer": this.ofRole("event-consumer"),
      "result-consumer": this.ofRole("result-consumer"),
      "replay-consumer": this.ofRole("replay-consumer"),
      "status-manager": this.ofRole("status-manager"),
    }
  }

  private ofRole(role: Role): ReadonlyArray<Machine> {
    return numbered(machinesOfRole[role]).map((i) =>
      this.machine(`${role}-${i}`, (process) => this.role(role, process)),
    )
  }

  private role(role: Role, process: Process): Effect.Effect<never, unknown> {
    this.checks.tasks.boot(process.name)
    process.onDeath(() => this.checks.tasks.died(process.name))
    return this.production
      .role(role, process.name, this.limits)
      .pipe(Layer.fresh, Layer.build, Effect.andThen(Effect.never), Effect.scoped, (program) =>
        this.provide(process, program),
      )
  }

  private gateway(process: Process): Effect.Effect<never, unknown> {
    const pod = PodId.make(process.name)
    process.onDeath(() => {
      this.checks.podDied(pod)
      this.trace.observer?.podDied(pod)
    })
    const program = this.production.gateway({
      pod,
      limits: this.limits,
      listen: (accept) => {
        this.network.listen(process, accept)
        return () => this.network.refuse(process)
      },
      watch: (clientId, isDirect) => {
        if (isDirect) this.trace.count("rule: a session of direct delivery")
        return this.checks.watch(pod, clientId)
      },
    })
    return this.provide(process, Effect.scoped(program))
  }

  private client(i: number): ClientOf {
    const clientId = ClientId.make(`c${i}`)
    const { disk, live } = this.production.client()
    const urlOf = this.deliveryOf()
    const application = new Application({
      clientId,
      names: this.dice.oneIn(2),
      nameOf: (n) => this.nameOf(n),
      disk,
      kernel: this.kernel,
      trace: this.trace,
      onShown: (shown) => {
        this.checks.shown(clientId, shown)
        if (!isLoss(shown)) this.trace.observer?.has(shown.seq)
      },
    })
    this.checks.add(application)
    const machine = this.machine(clientId, (process) => {
      application.restart()
      this.checks.restarted(clientId)
      const save = (change: () => void) =>
        Effect.orDie(
          this.disks.call(
            process,
            "save",
            () => Exit.succeed(change()),
            () => Exit.die("no disk"),
          ),
        )
      const program = live({
        clientId,
        limits: this.limits,
        url: urlOf(),
        save,
        dial: (to, answer) => this.network.dial(process, to, answer),
        application: application.in(process),
      })
      return Effect.scoped(program)
    })
    return { application, machine }
  }

  /** The name of a client's `n`th event. */
  private nameOf(n: number): string {
    if (this.hasUnknown && n % unknown_one_in === 0) return unknown
    if (this.hasTasks && n % task_one_in === 1) return tasks[Math.floor(n / task_one_in) % tasks.length] ?? known
    return known
  }

  /** What a client's lives connect to: half of the clients have routed delivery, the others direct delivery or now one, now the other. */
  private deliveryOf(): () => string {
    const dice = this.delivery
    if (dice === undefined || dice.oneIn(2)) return () => urls.routed
    return dice.oneIn(2) ? () => urls.direct : () => (dice.oneIn(2) ? urls.direct : urls.routed)
  }

  private publisher(process: Process): Effect.Effect<never, unknown> {
    const next = this.publishing.take(process, () => this.messages.shift())
    const program = Effect.gen(function* () {
      const publisher = yield* Publisher
      const log = yield* EventLog
      while (true) {
        const { clientId, id, isCancel } = yield* next
        if (isCancel) {
          yield* Effect.ignore(cancel(publisher, log, clientId, EventId.make(id)))
          continue
        }
        const message = { id: EventId.make(id), name: "news", data: id }
        // What failed may have come or not; nobody was promised anything.
        yield* Effect.ignore(publisher.send(clientId, message))
      }
    })
    return this.provide(process, Effect.scoped(Effect.provide(program, Publisher.layer)))
  }

  private provide<E, S extends Services>(process: Process, program: Effect.Effect<never, E, S>) {
    const { dice, seed } = this
    const tasks = this.hasTasks ? taskHandlers({ seed, process, dice, checks: this.checks.tasks }) : []
    const handlers = Handlers.layer([this.echoIn(process), ...tasks], handlerLimits)
    const services = Context.make(EventLog, this.log.of(process)).pipe(
      Context.add(Topics, topics),
      Context.add(Mailbox, this.mailboxes.of(process)),
      Context.add(ClientOffsets, this.offsets.offsets),
      Context.add(Registry, this.registry.of(process)),
      Context.add(PodChannel, podChannelOf(this.pods, process, this.checks)),
      Context.add(AckChannel, ackChannelOf(this.acks, process, this.checks)),
    )
    return program.pipe(Effect.provide(handlers), Effect.provideContext(services))
  }

  /** Of a process, which never runs more of them at once than it may. */
  private echoIn({ name }: Process): Handler<never> {
    let running = 0
    const limit = this.handlersAtOnce
    const counted = (data: Schema.Json) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          if (++running > (limit ?? Infinity))
            this.checks.report("bounds", `${name} runs ${running} handlers of ${limit}`)
        }),
        () => this.echo(data),
        () => Effect.sync(() => void running--),
      )
    return limit === undefined
      ? Handlers.make(known, { ...echo, handler: this.echo })
      : Handlers.make(known, { ...echo, handler: counted, at_once: limit })
  }

  /** Answers what it got, sometimes after a while; where handlers are slow, rarely after a long one. */
  private readonly echo = (data: Schema.Json): Effect.Effect<Schema.Json> =>
    Effect.suspend(() => {
      if (this.slowHandler_ms > 0 && this.dice.oneIn(slow_one_in)) {
        this.trace.count("fault: a handler is slow")
        return Effect.as(Effect.sleep(this.dice.upTo(this.slowHandler_ms)), data)
      }
      return this.dice.oneIn(4) ? Effect.as(Effect.sleep(this.dice.upTo(30)), data) : Effect.succeed(data)
    })

  private machine(name: string, program: (process: Process) => Effect.Effect<unknown, unknown>): Machine {
    return new Machine({
      name,
      kernel: this.kernel,
      trace: this.trace,
      dice: this.fork(),
      newProcess: (of) => new Process(this.processOptions(of)),
      program,
      onEnd: (process, exit) => this.checkEnd(process, exit),
    })
  }

  /** What a process must not end of: a bug, or its own store. */
  private checkEnd(process: Process, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return
    for (const reason of exit.cause.reasons) {
      if (reason._tag === "Die") this.onDefect(`${process.name}: ${String(reason.defect)}`)
      else if (reason._tag === "Fail") this.checkFailure(process, reason.error)
    }
  }

  private checkFailure(process: Process, error: unknown): void {
    const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
    this.trace.say(process.name, () => `has failed with ${tag}`)
    this.trace.count(`rule: a process ends with ${tag}`)
    if (tag === "StoreMismatch") this.checks.report("its own store is not refused", `${process.name}: ${String(error)}`)
  }

  private readonly onDefect = (defect: string): void => this.checks.report("nothing dies of a bug", defect)

  private processOptions(name: string): ProcessOptions {
    const { bounds, kernel, metrics, onDefect, steps, trace } = this
    const onTurn: ProcessOptions["onTurn"] = (part, sized) => bounds.part(part, sized)
    return { name, kernel, trace, metrics, onDefect, onTurn, steps, dice: this.fork() }
  }

  private fork(): Dice {
    return new Dice(this.dice.next())
  }
}

const echo = { input: Schema.Json, output: Schema.Json }

/** In the client's name, or in an operator's. */
const cancel = (publisher: Publisher["Service"], log: EventLog["Service"], clientId: ClientId, id: EventId) =>
  id.length % 2 === 0
    ? publisher.cancelAll(clientId, [id])
    : log.publish(topics.events, partitionOf(clientId, log.partitions), [
        { key: clientId, value: TaskRecords.encodeTask({ task: id, do: "cancel", by: "operator" }) },
      ])

const numbered = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i + 1)

/** Bound to the log, as on an installation that has run before. */
const claimedStore = (log: Log, limits: MailboxLimits): MailboxMemory.MailboxMemory => {
  const store = MailboxMemory.makeMemory(limits)
  const ends = Array.from({ length: log.partitions }, () => 0)
  Effect.runSync(store.mailbox.claim({ incarnation: Log.incarnation, partitions: log.partitions, ends }))
  return store
}

const podWords = (message: PodMessage): string => {
  switch (message._tag) {
    case "Push":
      return `push ${message.clientId} ${message.prev}→${message.seq}`
    case "Mail":
      return `mail ${message.clientId}`
    case "Kick":
      return `kick ${message.clientId}`
    case "Drain":
      return "drain"
  }
}

const ackWords = (message: AckMessage): string =>
  message._tag === "Ack" ? `ack ${message.clientId}:${message.seq}` : `nack ${message.clientId}`
