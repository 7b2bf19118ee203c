/**
 * A run: a world, its workload and its faults; then peace, in which everything must come right within a stated time;
 * then one more event for each client, which only its newest session may deliver; then no gateway, without which
 * everyone counts as OFFLINE.
 */
import { partitionOf } from "@nimbus/domain/protocol"
import { Dice } from "@nimbus/domain/testing/dice"
import { Metric } from "effect"
import type { CoreProbe } from "../CoreProbe.ts"
import type { Observe } from "../world/Observation.ts"
import { type Fault, type FaultName, faultNames, faultsEnd_ms, isOfTasks, planOf, schedule } from "./Faults.ts"
import { start_ms } from "./Kernel.ts"
import { Observer } from "./Observer.ts"
import { Process } from "./Process.ts"
import type { Production } from "./Production.ts"
import { Violation } from "./Violation.ts"
import { topics, World } from "./World.ts"

export interface RunOptions {
  readonly seed: number
  readonly clients: number
  /** In all. */
  readonly events: number
  /** Kinds of faults to choose from. Default: all. */
  readonly faults?: ReadonlyArray<FaultName> | undefined
  /** Only these of the plan, by index. Default: all. */
  readonly only?: ReadonlyArray<number> | undefined
  /** Other delays for the same seed. */
  readonly salt?: number | undefined
  /** Whether some events are those of tasks. Default: in every second seed. */
  readonly tasks?: boolean | undefined
}

export interface Outcome {
  readonly violation: Violation | undefined
  /** The plan as far as it was kept. */
  readonly faults: ReadonlyArray<Fault>
  readonly trace: ReadonlyArray<string>
  /** How often each fault and each rule of the protocol came about. */
  readonly counts: ReadonlyMap<string, number>
  /** From the last fault until everyone was LIVE and had everything. */
  readonly settled_ms: number
  readonly lasted_ms: number
}

/** After the last fault everyone connected becomes LIVE and complete within this: what its own slow handlers take included. */
export const settle_ms = 180_000
/** After that, older sessions of a client have ended within this: two sweeps, and the time they take. */
const supersede_ms = 8_000
const max_cancels = 12
const cancel_every_ms = 2_000
/** So long after a pod has died its clients are counted as OFFLINE: a lease, two counts, and the time they take. */
const offline_ms = 10_000

export const run = (production: Production, options: RunOptions, isTraced = false): Outcome => {
  const { clients, events, seed } = options
  const hasTasks = options.tasks ?? seed % 2 === 0
  const plan = faultsOf(seed, options.faults ?? faultNames, hasTasks)
  const kept = options.only === undefined ? plan : plan.filter((_, i) => options.only?.includes(i) === true)
  const world = new World(production, {
    seed,
    salt: options.salt ?? 0,
    clients,
    events: events + clients,
    isTraced,
    mayLose: true,
    hasDirect: true,
    hasTasks,
  })
  const endFaults = schedule(world, kept)
  work(world, events, new Dice(seed * 40_503 + 3))
  if (hasTasks) cancel(world, new Dice(seed * 69_621 + 9))
  let settled_ms = 0
  world.probe = watcherOf(world)
  const violation = attempt(world, () => {
    advance(world, start_ms + faultsEnd_ms)
    world.trace.say("fault", () => "no more faults")
    endFaults()
    settled_ms = settle(world)
    advance(world, world.kernel.now_ms + supersede_ms)
    world.checks.onlyTheNewest = true
    for (const { application } of world.clients) application.want(1)
    settle(world)
    world.checks.lists()
    // A worker that has lost its partition goes on with what runs for so long: it may come back.
    advance(world, world.kernel.now_ms + world.limits.taskWorker.revoked_wait_ms)
    world.checks.tasks.interrupted()
    for (const gateway of world.gateways) gateway.crash(2 * offline_ms)
    advance(world, world.kernel.now_ms + offline_ms)
    world.checks.counted(clientsCounted(world))
  })
  countMetrics(world)
  const { counts, lines } = world.trace
  return { violation, faults: kept, trace: lines, counts, settled_ms, lasted_ms: world.kernel.elapsed_ms }
}

/** Those of tasks are drawn apart: a run without tasks has the others all the same. */
const faultsOf = (seed: number, names: ReadonlyArray<FaultName>, hasTasks: boolean): ReadonlyArray<Fault> => {
  const general = planOf(
    new Dice(seed * 2_654_435 + 1),
    names.filter((name) => !isOfTasks(name)),
  )
  if (!hasTasks) return general
  const ofTasks = planOf(new Dice(seed * 1_640_531 + 5), names.filter(isOfTasks))
  return [...general, ...ofTasks].toSorted((a, b) => a.at_ms - b.at_ms)
}

export interface ObservedOptions {
  readonly seed: number
  readonly events: number
  readonly faults: ReadonlyArray<FaultName>
  /** Asked at each new moment. */
  readonly isEnough: () => boolean
}

/** Plays a run of one client until its faults end, or it is enough, and observes it. Nothing is checked. */
export const observed = (production: Production, options: ObservedOptions, observe: Observe): void => {
  const { events, faults, isEnough, seed } = options
  const world = new World(production, {
    seed,
    salt: 0,
    clients: 1,
    events,
    isTraced: false,
    mayLose: false,
    hasDirect: false,
    hasTasks: false,
  })
  const { clientId } = world.clients[0]!.application
  const observer = new Observer(topics, partitionOf(clientId, world.log.partitions), () => Process.running, observe)
  world.trace.observer = observer
  schedule(world, planOf(new Dice(seed * 2_654_435 + 1), faults))
  work(world, events, new Dice(seed * 40_503 + 3))
  world.probe = observer
  world.kernel.run(start_ms + faultsEnd_ms, isEnough)
}

/** Looks at the cores after each of their steps. */
const watcherOf = ({ bounds, checks }: World): CoreProbe => ({
  router: (router) => bounds.router(router),
  session: (session) => {
    bounds.session(session)
    if (session.route !== undefined) checks.liveBy(session.route)
  },
  directSession: (session) => bounds.directSession(session),
  feed: (feed) => bounds.feed(feed),
})

const attempt = (world: World, phases: () => void): Violation | undefined => {
  try {
    phases()
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
  return world.checks.violation
}

const advance = (world: World, to_ms: number, until: () => boolean = () => false): void => {
  world.kernel.run(to_ms, () => world.checks.violation !== undefined || until())
  if (world.checks.violation !== undefined) throw world.checks.violation
}

const settle = (world: World): number => {
  const from_ms = world.kernel.now_ms
  let missing: string | undefined = undefined
  let looked_ms = 0
  advance(world, from_ms + settle_ms, () => {
    // Not at each moment: most of them change nothing.
    if (world.kernel.now_ms < looked_ms) return false
    looked_ms = world.kernel.now_ms + 50
    missing = world.checks.missing()
    return missing === undefined
  })
  if (missing !== undefined) throw new Violation("it settles", `after ${settle_ms} ms ${missing}`)
  return world.kernel.now_ms - from_ms
}

/** Who sends what when: single events and bursts, until the faults end; a fifth are messages of another service. */
const work = (world: World, events: number, dice: Dice): void => {
  let left = events
  while (left > 0) {
    const burst = Math.min(left, dice.oneIn(3) ? dice.upTo(8) : 1)
    const application = dice.pick(world.clients)!.application
    const isMessage = dice.oneIn(5)
    world.kernel.after(dice.below(faultsEnd_ms), () => {
      if (!isMessage) return application.want(burst)
      for (let i = 0; i < burst; i++) world.publish(application.clientId)
    })
    left -= burst
  }
}

/** Who cancels tasks: now and then, and from the end of the faults on all that would not end otherwise. */
const cancel = (world: World, dice: Dice): void => {
  for (let cancels = dice.below(max_cancels); cancels > 0; cancels--) {
    world.kernel.after(dice.below(faultsEnd_ms), () => {
      const task = dice.pick(world.checks.tasks.tasks)
      if (task !== undefined) world.cancel(task)
    })
  }
  const again = (): void => {
    world.cancelEndless()
    world.kernel.after(cancel_every_ms, again)
  }
  world.kernel.after(faultsEnd_ms, again)
}

/** Who is not OFFLINE, as the status manager says. */
const clientsCounted = (world: World): number =>
  Metric.snapshotUnsafe(world.metricsContext)
    .filter(({ attributes = {}, id }) => id === "nimbus_clients" && attributes["status"] !== "OFFLINE")
    .reduce((sum, { state }) => sum + ("value" in state ? Number(state.value) : 0), 0)

/** What the production code has counted of itself. */
const countMetrics = (world: World): void => {
  for (const { attributes = {}, id, state, type } of Metric.snapshotUnsafe(world.metricsContext)) {
    if (type === "Counter")
      world.trace.count(`metric: ${[id, ...Object.values(attributes)].join(" ")}`, Number(state.count))
  }
}
