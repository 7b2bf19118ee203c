/**
 * A run: a world, one step per number, then peace. The same numbers make the same run, and a run without some of them
 * is a run as well, so that a failure can be shrunk to the steps that matter.
 */
import type { Router } from "@nimbus/domain/protocol"
import { Dice, numbers } from "@nimbus/domain/testing/dice"
import { CoreObserver } from "../CoreObserver.ts"
import { watched } from "../CoreProbe.ts"
import { act, actionsWith, type FaultName, faultNames } from "./Actions.ts"
import { Checks, Violation } from "./Checks.ts"
import type { Observe } from "./Observation.ts"
import { type Did, tightLimits, type WorldLimits } from "./Parts.ts"
import { calm, settle, settleUnderTraffic } from "./Settle.ts"
import { World } from "./World.ts"

export interface RunOptions {
  /** Which faults, and which clients remember: by its bits. */
  readonly mix: number
  /** One for each step. */
  readonly choices: ReadonlyArray<number>
  /** Whether mailboxes and the backlog are so small that results are lost, and must be told. */
  readonly withLosses: boolean
  /** Whether clients go on sending when the faults end: of fewer clients. Default: they do not. */
  readonly withTraffic?: boolean
}

export interface Failure {
  readonly violation: Violation
  /** The steps that did something. */
  readonly trace: ReadonlyArray<string>
}

/** `undefined`: everything held. */
export const run = (options: RunOptions): Failure | undefined => {
  const trace: Array<string> = []
  try {
    play(options, (did) => did !== undefined && trace.push(did))
    return undefined
  } catch (error) {
    if (!(error instanceof Violation)) throw new Error(`A run threw: ${trace.join("\n")}`, { cause: error })
    return { violation: error, trace }
  }
}

/** The run that a seed stands for. */
export const ofSeed = (seed: number, steps: number, withLosses: boolean, withTraffic = false): RunOptions => {
  const [mix = 0, ...choices] = numbers(seed, steps + 1)
  return { mix, choices, withLosses, withTraffic }
}

/** Leaves out steps for as long as the same rule is broken. Tries at most `max_runs`. */
export const shrink = (options: RunOptions, failure: Failure, max_runs = 2_000): RunOptions => {
  let { choices } = options
  let runs = 0
  for (let size = choices.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < choices.length && runs < max_runs; runs++) {
      const fewer = choices.toSpliced(at, size)
      if (run({ ...options, choices: fewer })?.violation.rule === failure.violation.rule) choices = fewer
      else at += size
    }
  }
  return { ...options, choices }
}

/** What was violated, and the steps to it. */
export const account = ({ trace, violation }: Failure): string => {
  const lines = trace.slice(0, max_lines).map((did, i) => `${String(i + 1).padStart(4)}  ${did}`)
  const rest = trace.length > max_lines ? `\n      and ${trace.length - max_lines} more` : ""
  return `${violation.message}\n${lines.join("\n")}${rest}`
}

/** The shortest account of a failure that can be found quickly. */
export const explain = (options: RunOptions, failure: Failure): string =>
  account(run(shrink(options, failure)) ?? failure)

const max_lines = 120

const lossyLimits: WorldLimits = {
  ...tightLimits,
  mailbox: { ...tightLimits.mailbox, mailbox_results: 3 },
}

/** For clients that go on sending, of which several results are under way. */
const roomyLimits: WorldLimits = {
  ...tightLimits,
  router: { ...tightLimits.router, inflight_results_per_client: 9, inflight_results: 18 },
  session: { ...tightLimits.session, window_results: 9, held_results: 9, page_results: 9 },
}

/** How often (once in so many steps) things go well for a while, so that faults also hit clients that are LIVE. */
const calm_every = 60
const calm_rounds = 6

export interface ObservedOptions {
  readonly seed: number
  readonly steps: number
  /** Whether the one client remembers its last seq. */
  readonly remembers: boolean
}

/** Plays a short run of one client in a world that loses nothing for good, and observes it. Nothing is checked. */
export const observed = ({ remembers, seed, steps }: ObservedOptions, observe: Observe): void => {
  const { choices, mix } = ofSeed(seed, steps, false)
  const dice = new Dice(mix)
  const allowed = new Set<FaultName>(faultNames.filter(() => dice.oneIn(2)))
  const actions = actionsWith(allowed, false)
  const nameOf = (router: Router.State) =>
    world.routers.workers.find((worker) => worker.router === router)?.name ?? "gone"
  const watchedSteps = watched(new CoreObserver(observe, nameOf))
  const world = new World({ limits: tightLimits, clients: [remembers], gateways: 2, observe, steps: watchedSteps })
  for (const choice of choices) {
    const own = new Dice(choice)
    if (own.oneIn(calm_every)) calm(world, () => {}, calm_rounds)
    else act(world, actions, own)
  }
}

/** Plays a run, telling each thing done; throws a `Violation`. */
export const play = ({ choices, mix, withLosses, withTraffic = false }: RunOptions, tell: (did: Did) => void): void => {
  const dice = new Dice(mix)
  const allowed = new Set<FaultName>(faultNames.filter(() => dice.oneIn(2)))
  const actions = actionsWith(allowed, withLosses)
  const world = new World({
    limits: withLosses ? lossyLimits : withTraffic ? roomyLimits : tightLimits,
    clients: [true, true, !dice.oneIn(2)].slice(0, dice.upTo(withTraffic ? 2 : 3)),
    gateways: 2,
  })
  const checks = new Checks(world)
  const heard = (did: Did): void => {
    tell(did)
    if (did !== undefined) checks.step()
  }
  for (const choice of choices) {
    const own = new Dice(choice)
    if (own.oneIn(calm_every)) calm(world, heard, calm_rounds)
    else heard(act(world, actions, own))
  }
  tell("no more faults")
  if (withTraffic) settleUnderTraffic(world, heard)
  settle(world, heard)
  for (const client of world.clients) heard(client.send())
  settle(world, heard)
  checks.settled()
}
