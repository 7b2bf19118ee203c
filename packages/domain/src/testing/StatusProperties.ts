/**
 * What holds of every move of the status machine, as predicates over one move; and machines that lack one rule each,
 * of which some predicate must not hold.
 */
import { Arbitrary, Result, Schema } from "effect"
import { IllegalTransition } from "../Errors.ts"
import { Epoch, PodId } from "../protocol/Ids.ts"
import { isSuperseded, Status, type StatusName, Step, transition } from "../protocol/Status.ts"

export type Transition = typeof transition

type Holds = (from: Status | undefined, step: Step, moved: ReturnType<Transition>) => boolean

export const properties = {
  "a move ends in a legal status, or is refused and says from where": (from, step, moved) =>
    Result.match(moved, {
      onSuccess: (to) => to === undefined || Schema.is(Status)(to),
      onFailure: (refused) =>
        refused instanceof IllegalTransition &&
        refused.from === (from?._tag ?? "UNKNOWN") &&
        refused.step === step._tag,
    }),

  "a client once seen stays known, and its epoch never falls": (from, _, moved) =>
    from === undefined || Result.isFailure(moved) || (moved.success?.epoch ?? -1) >= from.epoch,

  "Connect raises the epoch, to the clock at least": (from, step, moved) =>
    step._tag !== "Connect" ||
    Result.match(moved, {
      onSuccess: (to) => to !== undefined && to.epoch > (from?.epoch ?? -1) && to.epoch >= step.atLeast,
      onFailure: ({ reason }) => reason === "no-epoch-left" && from?.epoch === Number.MAX_SAFE_INTEGER,
    }),

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
    if (!isArrow(step) || Result.isFailure(moved)) return true
    const { ends, starts } = arrows[step._tag]
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

export type Property = keyof typeof properties

interface Mutant {
  /** A property that this machine must be seen to break. */
  readonly breaks: Property
  readonly transition: Transition
}

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
  "only REPLAYING goes LIVE": {
    breaks: "GoLive, FallBack and Disconnect move only the session they name, and only along their arrow",
    transition: (from, step) =>
      transition(from && step._tag === "GoLive" ? { ...from, _tag: "REPLAYING" } : from, step),
  },
  "a step moves only the epoch it names": {
    breaks: "GoLive, FallBack and Disconnect move only the session they name, and only along their arrow",
    transition: (from, step) => transition(from && isArrow(step) ? { ...from, ...sessionOf(step) } : from, step),
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

/** Walks any steps from any status; the property must hold of every move, and no move may throw. */
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

const attempt = (machine: Transition, from: Status | undefined, step: Step) => {
  try {
    return machine(from, step)
  } catch {
    return undefined
  }
}

type Named = Extract<Step, { readonly epoch: Epoch }>
type Arrow = Extract<Step, { readonly _tag: "GoLive" | "FallBack" | "Disconnect" }>

const namesSession = (step: Step): step is Named => "epoch" in step
const isArrow = (step: Step): step is Arrow => step._tag in arrows
const sessionOf = ({ epoch, pod }: Named) => ({ epoch, pod })

const arrows: Record<Arrow["_tag"], { readonly starts: ReadonlyArray<StatusName>; readonly ends: StatusName }> = {
  GoLive: { starts: ["REPLAYING"], ends: "LIVE" },
  FallBack: { starts: ["LIVE"], ends: "REPLAYING" },
  Disconnect: { starts: ["REPLAYING", "LIVE"], ends: "OFFLINE" },
}

const isAt = (to: Status | undefined, status: StatusName, pod: PodId, epoch = to?.epoch): boolean =>
  to !== undefined && to._tag === status && to.pod === pod && to.epoch === epoch

const isRefused = (moved: ReturnType<Transition>, reason: IllegalTransition["reason"]): boolean =>
  Result.isFailure(moved) && moved.failure.reason === reason

/** Of the schemas' own values, on two pods and in few epochs so that steps meet; the highest epoch is one of them. */
const few = ["p", "q"].map((pod) => PodId.make(pod))
const fewPods = (pod: PodId): PodId => few[pod.length % few.length]!
const fewEpochs = (epoch: Epoch): Epoch => Epoch.make(epoch % 6 === 5 ? Number.MAX_SAFE_INTEGER : epoch % 6)

const narrowed = <A extends { readonly pod: PodId }>(value: A): A => ({
  ...value,
  pod: fewPods(value.pod),
  ...("epoch" in value ? { epoch: fewEpochs(Epoch.make(Number(value.epoch))) } : {}),
})

const walks = Arbitrary.all({
  from: Arbitrary.map(Arbitrary.schema(Schema.UndefinedOr(Status)), (from) => from && narrowed(from)),
  steps: Arbitrary.array(Arbitrary.map(Arbitrary.schema(Step), (step) => narrowed(step))),
})
