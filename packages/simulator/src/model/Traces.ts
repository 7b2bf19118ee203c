/**
 * Runs of the simulated world (`../world`: production router, session and stores) and of the simulator (`../simulation`:
 * the production shells as well) in the numbers of spec/replay.pml. Seqs and cursors are one more than in the code, pods
 * and routers are numbered from 1, epochs count from the world's first millisecond.
 */
import type { RouteId } from "@nimbus/domain/protocol"
import type { Macros } from "./Mixes.ts"
import { production } from "../production/Production.ts"
import * as Simulation from "../simulation/index.ts"
import * as World from "../world/index.ts"

/** An action and its arguments. */
export type Step = readonly [action: number, arg1: number, arg2: number, arg3: number]

export interface Trace {
  readonly seed: number
  readonly steps: ReadonlyArray<Step>
  /** The same in words. */
  readonly words: ReadonlyArray<string>
}

/** So much fits into one replay. A longer trace is cut off: the beginning of a behaviour is one too. */
export const traceLimits = { seqs: 28, results: 110, dlq: 110, routes: 60, pods: 8, routers: 5, epochs: 1_000_000_000 }

/** The macros of the specification that give room for it. */
const replayMacros = {
  EVENTS: 30,
  BARRIERS: 30,
  SEQS: 29,
  RESULTS: 115,
  DLQ: 115,
  DLQ_SIZE: 120,
  ROUTES: traceLimits.routes,
  PODS: traceLimits.pods,
  ROUTERS: traceLimits.routers,
  SESSIONS: 200,
  LATE_RESULTS: 250,
  MAILBOX_ROLLBACKS: 250,
  REGISTRY_ROLLBACKS: 250,
  REGISTRY_WIPES: 250,
}

/** For runs of the world: their client remembers its last seq or not. */
export const worldMacros = (remembers: boolean): Macros => ({ ...replayMacros, REMEMBERS: remembers ? 1 : 0 })

/** For runs of the simulator, whose windows differ from seed to seed, and are its own to check. */
export const simulatorMacros: Macros = { ...replayMacros, OWN_SOCKET: 0, WINDOW: 99 }

export interface TraceOptions {
  readonly seed: number
  readonly steps: number
  readonly remembers: boolean
}

/** What happens in the world of a seed, as far as it fits. */
export const traceOf = (options: TraceOptions): Trace => {
  const recorder = new Recorder(new Numbers(World.started_ms))
  World.observed(options, recorder.observe)
  return { seed: options.seed, ...recorder }
}

export interface SimulatedTraceOptions {
  readonly seed: number
  readonly events: number
}

/** The same of the simulator, which runs the production shells. */
export const simulatedTraceOf = ({ events, seed }: SimulatedTraceOptions): Trace => {
  const recorder = new Recorder(new Numbers(Simulation.start_ms))
  const faults = Simulation.faultNames.filter((name) => !untold.has(name))
  const options = { seed, events, faults, isEnough: () => recorder.isFull }
  Simulation.observed(production, options, recorder.observe)
  return { seed, ...recorder }
}

/** A store that goes back to one of many earlier states; the specification has one. The world's runs have it. */
const untold: ReadonlySet<Simulation.FaultName> = new Set(["mailboxes roll back", "registry rolls back"])

/** Writes down what it is told as long as it fits. */
class Recorder {
  readonly steps: Array<Step> = []
  readonly words: Array<string> = []
  readonly #numbers: Numbers

  constructor(numbers: Numbers) {
    this.#numbers = numbers
  }

  get isFull(): boolean {
    return !this.#numbers.fit
  }

  readonly observe = (observation: World.Observation): void => {
    const steps = stepsOf(observation, this.#numbers)
    if (this.isFull) return
    const words = JSON.stringify(observation)
    for (const step of steps) {
      this.steps.push(step)
      this.words.push(words)
    }
  }
}

/** In the format that the replay reads. */
export const fileOf = (traces: ReadonlyArray<Trace>): string => {
  const begins = [0]
  for (const { steps } of traces) begins.push((begins.at(-1) ?? 0) + steps.length)
  const actions = traces.flatMap(({ steps }) => steps.map((step) => step.join(" ")))
  return [`${traces.length} ${actions.length}`, begins.join(" "), ...actions, ""].join("\n")
}

/** As in spec/replay.pml. */
const actions = {
  Sends: 1,
  Shows: 3,
  LosesSocket: 4,
  Handles: 5,
  Reads: 6,
  Diverts: 7,
  TakesShelf: 8,
  Appends: 9,
  Confirmed: 10,
  Hears: 11,
  Commits: 12,
  Puts: 13,
  Trims: 14,
  Connects: 15,
  ReadsPage: 16,
  GetsPage: 17,
  EndsPage: 18,
  Delivers: 19,
  PassesBarrier: 20,
  HearsClient: 21,
  PassesOn: 22,
  Is: 23,
  BarrierSent: 25,
  Registers: 26,
  Closes: 27,
  TakesOver: 28,
  ReturnsOwn: 29,
  ReturnsCommit: 30,
  CrashesPod: 31,
  BacksUpMailbox: 32,
  RollsMailboxBack: 33,
  BacksUpRegistry: 34,
  RollsRegistryBack: 35,
  WipesRegistry: 36,
  Opens: 37,
} as const satisfies Record<World.Observation["_tag"], number>

/** One record of what `TakesShelf` begins. */
const takes = 38

const statuses = { OFFLINE: 0, REPLAYING: 2, LIVE: 3 } as const
/** Numbers for what the world has names for, and whether all so far is within the limits. */
class Numbers {
  fit = true
  private readonly pods = new Map<string, number>()
  private routers = new Map<string, number>([["router2", 1]])
  private readonly start_ms: number
  private results = 0
  private dlq = 0
  private readonly routes = new Map<RouteId, number>()

  constructor(start_ms: number) {
    this.start_ms = start_ms
  }

  seq(seq: number): number {
    return this.within(seq + 1, traceLimits.seqs)
  }

  set(seqs: ReadonlyArray<number>): number {
    return seqs.reduce((set, seq) => set | (1 << this.seq(seq)), 0)
  }

  epoch(epoch: number): number {
    return this.within(epoch - this.start_ms + 1, traceLimits.epochs)
  }

  pod(pod: string): number {
    const number = this.pods.get(pod) ?? this.pods.size + 1
    this.pods.set(pod, number)
    return this.within(number, traceLimits.pods)
  }

  router(name: string): number {
    return this.routers.get(name) ?? 0
  }

  /** A new one takes the first number that is free. */
  newRouter(name: string, alive: ReadonlyArray<string>): number {
    this.routers = new Map([...this.routers].filter(([other]) => alive.includes(other)))
    const taken = new Set(this.routers.values())
    let free = this.routers.get(name) ?? 1
    while (taken.has(free) && this.routers.get(name) !== free) free++
    this.routers.set(name, free)
    return this.within(free, traceLimits.routers)
  }

  /** 0: not a barrier. */
  route(route: RouteId | undefined): number {
    if (route === undefined) return 0
    const number = this.routes.get(route) ?? this.routes.size + 1
    this.routes.set(route, number)
    return this.within(number, traceLimits.routes)
  }

  result(): void {
    this.within(++this.results, traceLimits.results)
  }

  shelved(count: number): void {
    this.dlq = this.within(this.dlq + count, traceLimits.dlq)
  }

  private within(value: number, limit: number): number {
    if (value > limit) this.fit = false
    return value
  }
}

/** Reads an observation into actions. Updates the numbers. */
const stepsOf = (seen: World.Observation, numbers: Numbers): ReadonlyArray<Step> => {
  if (seen._tag !== "TakesShelf" && seen._tag !== "Appends") return [stepOf(seen, numbers)]
  const router = numbers.router(seen.worker)
  const records = seen.seqs.map((seq, i) => [numbers.seq(seq), numbers.route(seen.routes[i])] as const)
  if (seen._tag === "Appends") {
    numbers.shelved(records.length)
    return records.map(([seq, route]) => [actions.Appends, router, seq, route])
  }
  return [[actions.TakesShelf, router, 0, 0], ...records.map(([seq, route]): Step => [takes, router, seq, route])]
}

type Shelving = "TakesShelf" | "Appends"
const stepOf = (seen: Exclude<World.Observation, { readonly _tag: Shelving }>, numbers: Numbers): Step => {
  const step = (arg1 = 0, arg2 = 0, arg3 = 0): Step => [actions[seen._tag], arg1, arg2, arg3]
  switch (seen._tag) {
    case "Handles":
      numbers.result()
      return step(numbers.seq(seen.seq))
    case "Sends":
    case "Shows":
    case "Puts":
    case "Trims":
    case "PassesOn":
      return step(numbers.seq(seen.seq))
    case "BarrierSent":
      return step(numbers.seq(seen.seq), numbers.pod(seen.pod), numbers.epoch(seen.epoch))
    case "Reads":
      return step(numbers.router(seen.worker), numbers.seq(seen.seq), seen.isPushed ? 1 : 0)
    case "Confirmed":
      return step(numbers.router(seen.worker), numbers.set(seen.seqs))
    case "Diverts":
    case "ReturnsOwn":
    case "ReturnsCommit":
      return step(numbers.router(seen.worker))
    case "Hears":
      return step(numbers.router(seen.worker), numbers.seq(seen.seq))
    case "Commits":
      return step(numbers.router(seen.worker), seen.offset)
    case "TakesOver":
      return step(numbers.newRouter(seen.worker, seen.workers))
    case "Registers":
      return step(numbers.pod(seen.pod), numbers.epoch(seen.epoch), seen.isRefused ? 1 : 0)
    case "Connects":
      return step(numbers.pod(seen.pod), numbers.epoch(seen.clock), numbers.epoch(seen.epoch))
    case "Opens":
      return step(numbers.pod(seen.pod), numbers.epoch(seen.epoch))
    case "GetsPage":
      return step(numbers.pod(seen.pod), numbers.seq(seen.after))
    case "ReadsPage":
      return step(numbers.pod(seen.pod), numbers.set(seen.seqs), numbers.seq(seen.after))
    case "Delivers":
    case "PassesBarrier":
    case "HearsClient":
      return step(numbers.pod(seen.pod), numbers.seq(seen.seq))
    case "Is":
      return step(numbers.pod(seen.pod), statuses[seen.status])
    case "EndsPage":
    case "Closes":
    case "CrashesPod":
      return step(numbers.pod(seen.pod))
    case "LosesSocket":
    case "BacksUpMailbox":
    case "RollsMailboxBack":
    case "BacksUpRegistry":
    case "RollsRegistryBack":
    case "WipesRegistry":
      return step()
  }
}
