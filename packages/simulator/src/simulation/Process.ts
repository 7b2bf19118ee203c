/**
 * One process of the system: its own clock, scheduler and randomness, on the kernel's time.
 *
 * - `crash`: nothing of it runs any more, not even a finalizer. What it had sent is on its way all the same.
 * - `freeze`, `thaw`: like SIGSTOP and SIGCONT. Timers run out and answers come in meanwhile, and all of it is seen at
 *   once when it wakes up: a zombie that does not know that its leases are gone.
 * - `stop`: interrupted, so that its finalizers run; the graceful way.
 */
import { outageLimits } from "@nimbus/domain/limits"
import { MemoryGauges, type Sized } from "@nimbus/domain/observability"
import { Steps, type StepsShape } from "@nimbus/domain/protocol"
import { FailureLog, makeFailureLog, RandomIds } from "@nimbus/domain/services"
import type { Dice } from "@nimbus/domain/testing/dice"
import {
  Clock,
  type Cause,
  Context,
  Duration,
  Effect,
  type Exit,
  type Fiber,
  Logger,
  Metric,
  Random,
  Scheduler,
} from "effect"
import type { Kernel } from "./Kernel.ts"
import type { Trace } from "./Trace.ts"

export interface ProcessOptions {
  readonly name: string
  readonly kernel: Kernel
  readonly trace: Trace
  readonly dice: Dice
  readonly metrics: (typeof Metric.MetricRegistry)["Service"]
  /** Told of each defect that the process logs: it has met a bug, and goes on. */
  readonly onDefect: (defect: string) => void
  /** Told after each turn of it what it keeps in memory. */
  readonly onTurn: (part: string, sized: Sized) => void
  /** How its shells step their cores. */
  readonly steps: StepsShape
}

export class Process {
  /** Whose code runs at this moment; empty: that of a service. */
  static running = ""
  readonly name: string
  /** Set by a fault: how far its clock is ahead of the true time. Timers follow the monotonic clock. */
  ahead_ms = 0
  /** What an effect that runs in here finds in its context besides its services. */
  readonly context: Context.Context<never>
  private readonly kernel: Kernel
  private readonly trace: Trace
  private state: "running" | "frozen" | "dead" = "running"
  private backlog: Array<() => void> = []
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private readonly whenDead: Array<() => void> = []
  private readonly onTurn: ProcessOptions["onTurn"]
  private readonly sizes = new Set<readonly [part: string, sized: Sized]>()

  constructor({ dice, kernel, metrics, name, onDefect, onTurn, steps, trace }: ProcessOptions) {
    this.name = name
    this.onTurn = onTurn
    this.kernel = kernel
    this.trace = trace
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, clockOf(kernel, this)),
      Context.add(Scheduler.Scheduler, schedulerOf(kernel, this)),
      Context.add(Random.Random, randomOf(dice)),
      Context.add(RandomIds, idsOf(dice)),
      Context.add(Metric.MetricRegistry, metrics),
      Context.add(Steps, steps),
      Context.add(FailureLog, makeFailureLog(outageLimits)),
      Context.add(MemoryGauges, { add: (part, sized) => this.keeps(part, sized) }),
      Context.add(Logger.CurrentLoggers, new Set([loggerOf(trace, name, onDefect)])),
    )
  }

  get isRunning(): boolean {
    return this.state === "running"
  }

  get isFrozen(): boolean {
    return this.state === "frozen"
  }

  get isDead(): boolean {
    return this.state === "dead"
  }

  /** What comes from outside: runs now, when the process wakes up, or never. */
  enter(run: () => void): void {
    if (this.state === "running") this.run(run)
    else if (this.state === "frozen") this.backlog.push(run)
  }

  /** Runs its program; `ended` is told how it came to an end by itself or by `stop`. */
  start<E>(program: Effect.Effect<unknown, E>, ended: (exit: Exit.Exit<unknown, E>) => void): void {
    const fiber = this.run(() => Effect.runForkWith(this.context)(program))
    this.fiber = fiber
    fiber.addObserver((exit) => {
      if (this.isDead) return
      this.die()
      ended(exit)
    })
  }

  stop(): void {
    this.enter(() => this.fiber?.interruptUnsafe())
  }

  crash(): void {
    if (this.isDead) return
    this.trace.say(this.name, () => "CRASHES")
    this.die()
  }

  freeze(): void {
    if (this.state !== "running") return
    this.trace.say(this.name, () => "freezes")
    this.state = "frozen"
  }

  thaw(): void {
    if (this.state !== "frozen") return
    this.trace.say(this.name, () => "wakes up")
    this.state = "running"
    const backlog = this.backlog
    this.backlog = []
    for (const run of backlog) this.kernel.soon(() => this.enter(run))
  }

  /** Called when the process is dead, however it died: its connections break. */
  onDeath(run: () => void): void {
    if (this.isDead) run()
    else this.whenDead.push(run)
  }

  private run<A>(run: () => A): A {
    const before = Process.running
    Process.running = this.name
    try {
      const answer = run()
      for (const [part, sized] of this.sizes) this.onTurn(part, sized)
      return answer
    } finally {
      Process.running = before
    }
  }

  private keeps(part: string, sized: Sized): () => void {
    const entry = [part, sized] as const
    this.sizes.add(entry)
    return () => void this.sizes.delete(entry)
  }

  private die(): void {
    this.state = "dead"
    this.backlog = []
    this.sizes.clear()
    this.fiber = undefined
    for (const run of this.whenDead.splice(0)) run()
  }
}

/** A clock that only tells the time: that of a service. */
export const timeOf = (kernel: Kernel, ahead_ms: () => number = () => 0): Omit<Clock.Clock, "sleep"> => {
  const millis = () => Math.floor(kernel.now_ms + ahead_ms())
  const monotonic = () => BigInt(Math.round(kernel.now_ms * 1_000)) * 1_000n
  const nanos = () => monotonic() + BigInt(ahead_ms()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
  }
}

const clockOf = (kernel: Kernel, process: Process): Clock.Clock => ({
  ...timeOf(kernel, () => process.ahead_ms),
  sleep: (duration) => {
    const ms = Duration.toMillis(duration)
    if (ms === Number.POSITIVE_INFINITY) return Effect.never
    return Effect.callback<void>((resume) => {
      const timer = kernel.after(ms, () => process.enter(() => resume(Effect.void)))
      return Effect.sync(() => timer.cancel())
    })
  },
})

/** Fibers give way by counting their operations, which is the same in every run. */
const schedulerOf = (kernel: Kernel, process: Process): Scheduler.Scheduler => {
  const yields = new Scheduler.MixedScheduler()
  const dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => kernel.soon(() => process.enter(task)),
    // The kernel runs everything in its turn.
    flush: () => {},
  }
  return {
    executionMode: "async",
    shouldYield: (fiber) => yields.shouldYield(fiber),
    makeDispatcher: () => dispatcher,
  }
}

const randomOf = (dice: Dice): (typeof Random.Random)["Service"] => ({
  nextDoubleUnsafe: () => dice.next() / 2 ** 32,
  nextIntUnsafe: () => (dice.next() - 2 ** 31) * 2 ** 21 + (dice.next() >>> 11),
})

const idsOf = (dice: Dice): RandomIds => ({ uuid: () => `${dice.next().toString(16)}-${dice.next().toString(16)}` })

const loggerOf = (trace: Trace, name: string, onDefect: (defect: string) => void) =>
  Logger.make(({ cause, logLevel, message }) => {
    for (const reason of cause.reasons) if (reason._tag === "Die") onDefect(`${name}: ${wordOf(reason.defect)}`)
    if (!trace.isWritten) return
    const words = (Array.isArray(message) ? message : [message]).map(wordOf).join(" ")
    const causes = cause.reasons.map(reasonOf).join(" ")
    trace.say(name, () => `${logLevel}: ${words}${causes === "" ? "" : ` (${causes})`}`)
  })

const reasonOf = (reason: Cause.Reason<unknown>): string =>
  reason._tag === "Fail" ? wordOf(reason.error) : reason._tag === "Die" ? wordOf(reason.defect) : reason._tag

/** Errors by their names: their messages may have paths or ids in them. */
const wordOf = (value: unknown): string => {
  if (typeof value === "string") return value
  if (typeof value === "object" && value !== null && "_tag" in value) return String(value._tag)
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return JSON.stringify(value) ?? String(value)
}
