/**
 * The properties of every move of the status machine, as predicates over one move; machines without one rule each,
 * which break some property; and a check for the commands of another service.
 *
 * ```ts
 * const checked = yield* StatusProperties.checkCommands({
 *   commands: Arbitrary.schema(Command),
 *   decide: (from, command) => (command === "leave" && from?._tag === "LIVE" ? [{ ...from, _tag: "Disconnect" }] : []),
 * })
 * assert.strictEqual(checked._tag, "Passed", Arbitrary.formatCheckFailure(checked))
 * ```
 */
import { Arbitrary, Result, Schema } from "effect"
import { IllegalTransition, type NotAStep } from "../Errors.ts"
import { Epoch, PodId } from "../protocol/Ids.ts"
import { arrows, isSuperseded, Status, step as read, type StatusName, Step, transition } from "../protocol/Status.ts"

/** A machine that moves a status: `Status.transition`, or one with commands of your own. */
export type Transition = typeof transition

type Holds = (from: Status | undefined, step: Step, moved: ReturnType<Transition>) => boolean

/** The properties of every move, by name: from this status, by this step, to this outcome. */
export const properties = {
  "a move ends in a legal status, or is refused and says from where": (from, step, moved) =>
    Result.match(moved, {
      onSuccess: (to) => to === undefined || Schema.is(Status)(to),
      onFailure: (refused) =>
        refused instanceof IllegalTransition &&
        refused.from === (from?._tag ?? "UNKNOWN") &&
        refused.step === step._tag,
    }),

  "a move is along an arrow of its step, or there is none": (from, step, moved) =>
    Result.isFailure(moved) || isSame(from, moved.success) || isArrow(step, from, moved.success),

  "a client once seen stays known, and its epoch never falls": (from, _, moved) =>
    from === undefined || Result.isFailure(moved) || (moved.success?.epoch ?? -1) >= from.epoch,

  "Connect raises the epoch, to the clock at least": (from, step, moved) =>
    step._tag !== "Connect" ||
    Result.match(moved, {
      onSuccess: (to) => to !== undefined && to.epoch > (from?.epoch ?? -1) && to.epoch >= step.atLeast,
      onFailure: ({ reason }) =>
        reason === "in-use" || (reason === "no-epoch-left" && from?.epoch === Number.MAX_SAFE_INTEGER),
    }),

  "Connect is refused as in use while a session of another owner is somewhere, and then alone": (from, step, moved) =>
    step._tag !== "Connect" ||
    isRefused(moved, "in-use") ===
      (from !== undefined &&
        from._tag !== "OFFLINE" &&
        from.pod !== step.gone &&
        from.owner !== undefined &&
        step.owner !== undefined &&
        from.owner !== step.owner),

  "a session keeps its owner, and a new one has its own": (from, step, moved) => {
    if (Result.isFailure(moved) || moved.success === undefined) return true
    const kept = step._tag === "Connect" || step._tag === "Sweep" ? step.owner : from?.owner
    return moved.success.owner === kept
  },

  "Connect is REPLAYING on its own pod": (_, step, moved) =>
    step._tag !== "Connect" || Result.isFailure(moved) || isAt(moved.success, "REPLAYING", step.pod),

  "an older epoch changes nothing": (from, step, moved) =>
    !namesSession(step) || from === undefined || step.epoch >= from.epoch || isRefused(moved, "superseded"),

  "the same epoch on another pod changes nothing": (from, step, moved) =>
    !namesSession(step) ||
    from === undefined ||
    step.epoch !== from.epoch ||
    step.pod === from.pod ||
    isRefused(moved, "superseded"),

  "GoLive, FallBack and Disconnect move only the session they name, and only along their arrow": (
    from,
    step,
    moved,
  ) => {
    if (!isOfSession(step) || Result.isFailure(moved)) return true
    const { ends, starts } = ofSession[step._tag]
    return (
      from !== undefined &&
      !isSuperseded(from, step) &&
      from.epoch === step.epoch &&
      starts.includes(from._tag) &&
      isAt(moved.success, ends, step.pod, step.epoch)
    )
  },

  "a lease that runs out turns OFFLINE who is on that pod, and nobody else": (from, step, moved) =>
    step._tag !== "LeaseExpired" ||
    (Result.isSuccess(moved) &&
      (from?.pod === step.pod
        ? isAt(moved.success, "OFFLINE", from.pod, from.epoch)
        : moved.success?._tag === from?._tag && moved.success?.epoch === from?.epoch)),

  "a Sweep that is not superseded holds, whatever was stored": (from, step, moved) =>
    step._tag !== "Sweep" ||
    (from !== undefined && isSuperseded(from, step)) ||
    (Result.isSuccess(moved) && isAt(moved.success, step.status, step.pod, step.epoch)),
} satisfies Record<string, Holds>

/** The name of a property. */
export type Property = keyof typeof properties

interface Mutant {
  /** A property that this machine breaks. */
  readonly breaks: Property
  readonly transition: Transition
}

/**
 * Machines with one fault each, and the property that each breaks. They show that the properties detect faults.
 */
export const mutants: Record<string, Mutant> = {
  "epoch >= stored": {
    breaks: "an older epoch changes nothing",
    transition: (from, step) =>
      transition(from && namesSession(step) && step.epoch < from.epoch ? { ...from, ...sessionOf(step) } : from, step),
  },
  "of one epoch the pod that is stored stays": {
    breaks: "the same epoch on another pod changes nothing",
    transition: (from, step) =>
      transition(
        from && namesSession(step) && step.epoch === from.epoch ? { ...from, ...sessionOf(step) } : from,
        step,
      ),
  },
  "Connect is above what is stored": {
    breaks: "Connect raises the epoch, to the clock at least",
    transition: (from, step) => transition(step._tag === "Connect" ? undefined : from, step),
  },
  "Connect is at the clock at least": {
    breaks: "Connect raises the epoch, to the clock at least",
    transition: (from, step) => transition(from, step._tag === "Connect" ? { ...step, atLeast: Epoch.make(0) } : step),
  },
  "only the same owner supersedes": {
    breaks: "Connect is refused as in use while a session of another owner is somewhere, and then alone",
    transition: (from, step) => transition(from && step._tag === "Connect" ? { ...from, _tag: "OFFLINE" } : from, step),
  },
  "only REPLAYING goes LIVE": {
    breaks: "GoLive, FallBack and Disconnect move only the session they name, and only along their arrow",
    transition: (from, step) =>
      transition(from && step._tag === "GoLive" ? { ...from, _tag: "REPLAYING" } : from, step),
  },
  "no arrow but those that are drawn": {
    breaks: "a move is along an arrow of its step, or there is none",
    transition: (from, step) =>
      step._tag === "Connect" ? Result.map(transition(from, step), live) : transition(from, step),
  },
  "a step moves only the epoch it names": {
    breaks: "GoLive, FallBack and Disconnect move only the session they name, and only along their arrow",
    transition: (from, step) => transition(from && isOfSession(step) ? { ...from, ...sessionOf(step) } : from, step),
  },
  "a lease is of one pod": {
    breaks: "a lease that runs out turns OFFLINE who is on that pod, and nobody else",
    transition: (from, step) =>
      transition(from, from && step._tag === "LeaseExpired" ? { ...step, pod: from.pod } : step),
  },
  "no move is lost": {
    breaks: "a Sweep that is not superseded holds, whatever was stored",
    transition: (from, step) => (step._tag === "Sweep" ? Result.succeed(from) : transition(from, step)),
  },
}

/** Takes random steps from random statuses. The property must hold for every move, and no move may throw. */
export const check = (property: Holds, machine: Transition, runs = 500) =>
  Arbitrary.checkEffect(
    walks,
    ({ from, steps }) => {
      let status = from
      for (const step of steps) {
        const moved = attempt(machine, status, step)
        if (moved === undefined || !property(status, step, moved)) return false
        if (Result.isSuccess(moved)) status = moved.success
      }
      return true
    },
    { runs },
  )

/** Commands of another service, which result in steps of this machine. */
export interface Commands<C> {
  readonly commands: Arbitrary.Arbitrary<C>
  /** The steps that result from a command in the present status of the client. A pure decision. */
  readonly decide: (from: Status | undefined, command: C) => ReadonlyArray<unknown>
}

/** The fault of a command: it results in something that is not a step, or in a step that has no arrow from there. */
export type CommandFault = NotAStep | IllegalTransition

/**
 * Runs random commands from random statuses. Fails if a command results in something that is not a step, or in a step
 * without an arrow. If the session is superseded, or no epoch is left, the command has no fault, and the status does
 * not change.
 */
export const checkCommands = <C>({ commands, decide }: Commands<C>, runs = 500) =>
  Arbitrary.checkEffect(
    Arbitrary.all({ from: anyStatus, walk: Arbitrary.array(commands) }),
    ({ from, walk }) => Result.isSuccess(walkCommands(from, walk, decide)),
    { runs },
  )

/** The status to which these commands lead, or the first fault. */
export const walkCommands = <C>(
  from: Status | undefined,
  walk: ReadonlyArray<C>,
  decide: Commands<C>["decide"],
): Result.Result<Status | undefined, CommandFault> => {
  let status = from
  for (const command of walk) {
    for (const value of decide(status, command)) {
      const step = read(value)
      if (Result.isFailure(step)) return Result.fail(step.failure)
      const moved = transition(status, step.success)
      if (Result.isSuccess(moved)) status = moved.success
      else if (moved.failure.reason === "no-such-arrow") return Result.fail(moved.failure)
    }
  }
  return Result.succeed(status)
}

const attempt = (machine: Transition, from: Status | undefined, step: Step) => {
  try {
    return machine(from, step)
  } catch {
    return undefined
  }
}

type Named = Extract<Step, { readonly epoch: Epoch }>
type OfSession = Extract<Step, { readonly _tag: "GoLive" | "FallBack" | "Disconnect" }>

const namesSession = (step: Step): step is Named => "epoch" in step
const isOfSession = (step: Step): step is OfSession => step._tag in ofSession
const sessionOf = ({ epoch, pod }: Named) => ({ epoch, pod })

/** The arrows are listed a second time, so that a wrong arrow is detected. */
const ofSession: Record<OfSession["_tag"], { readonly starts: ReadonlyArray<StatusName>; readonly ends: StatusName }> =
  {
    GoLive: { starts: ["REPLAYING"], ends: "LIVE" },
    FallBack: { starts: ["LIVE"], ends: "REPLAYING" },
    Disconnect: { starts: ["REPLAYING", "LIVE"], ends: "OFFLINE" },
  }

const isSame = (from: Status | undefined, to: Status | undefined): boolean =>
  from === to || (from !== undefined && to !== undefined && isAt(to, from._tag, from.pod, from.epoch))

const isArrow = ({ _tag }: Step, from: Status | undefined, to: Status | undefined): boolean =>
  to !== undefined && arrows[_tag].from.includes(from?._tag ?? "UNKNOWN") && arrows[_tag].to.includes(to._tag)

const isAt = (to: Status | undefined, status: StatusName, pod: PodId, epoch = to?.epoch): boolean =>
  to !== undefined && to._tag === status && to.pod === pod && to.epoch === epoch

const isRefused = (moved: ReturnType<Transition>, reason: IllegalTransition["reason"]): boolean =>
  Result.isFailure(moved) && moved.failure.reason === reason

const live = (to: Status | undefined): Status | undefined => to && { ...to, _tag: "LIVE" }

/** Values of the schemas, on two pods and in few epochs, so that steps interfere. The highest epoch is one of them. */
const few = ["p", "q"].map((pod) => PodId.make(pod))
const fewPods = (pod: PodId): PodId => few[pod.length % few.length]!
const fewEpochs = (epoch: Epoch): Epoch => Epoch.make(epoch % 6 === 5 ? Number.MAX_SAFE_INTEGER : epoch % 6)

const narrowed = <A extends { readonly pod: PodId }>(value: A): A => ({
  ...value,
  pod: fewPods(value.pod),
  ...("epoch" in value ? { epoch: fewEpochs(Epoch.make(Number(value.epoch))) } : {}),
})

const anyStatus = Arbitrary.map(Arbitrary.schema(Schema.UndefinedOr(Status)), (from) => from && narrowed(from))

const walks = Arbitrary.all({
  from: anyStatus,
  steps: Arbitrary.array(Arbitrary.map(Arbitrary.schema(Step), (step) => narrowed(step))),
})
