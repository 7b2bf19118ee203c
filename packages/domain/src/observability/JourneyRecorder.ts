/**
 * Records that a sampled event has taken a step: what happened, when and where, once for both outputs.
 *
 * ```
 *                  ┌▶ the journey: the record header `nimbus-journey`, or the journey topic (`Journey.ts`)
 *   step ─ record ─┤
 *                  └▶ the trace: a span of the `Tracer`, and the record header `traceparent` (`Trace.ts`)
 * ```
 *
 * 1. A step that a record carries further returns the headers of that record, and its span ends by `end`.
 * 2. A *late* step is known only after the last record was written. It goes to the queue of `LateSteps`.
 * 3. The caller asks `Journey.isSampled` first: a record that is not sampled costs this comparison, and no more.
 */
import { Clock, Effect, type Exit } from "effect"
import type { ClientId, Seq } from "../protocol/Ids.ts"
import * as Journey from "../protocol/Journey.ts"
import type { Headers } from "../protocol/Records.ts"
import * as Trace from "./Trace.ts"

/** Where the steps are taken. */
export interface Source {
  /** gateway, event-consumer, …: `Journey.JourneyStep` has the list. */
  readonly service: string
  /** Which process. */
  readonly instance: string
}

type Details = Readonly<Record<string, string>>

/** The span that each step begins. `logged`, `pushed` and `acknowledged` begin none. */
const spans = {
  accepted: "accept",
  handled: "handle",
  routed: "route",
  diverted: "divert",
  shelved: "shelve",
  put: "put",
  sent: "deliver",
} as const satisfies Partial<Record<Journey.StepName, Trace.HopName>>

/** Steps that the record carries from here on. */
export type CarriedStep = Exclude<keyof typeof spans, "sent">

/** Steps that no record carries. */
export type LateStep = "pushed" | "sent" | "acknowledged"

/** The record that a step is of, and what is to be said of the step. */
export interface Carried {
  readonly clientId: string
  /** The headers that came with the record: the steps before, and the parent of the span. */
  readonly from: Headers | undefined
  readonly details: Details
  /** The step before, if nobody else could record it. The span has its details as well. */
  readonly before?: Journey.JourneyStep
}

/** A late step, and the headers of the record that it is of. */
export interface Late {
  readonly clientId: ClientId
  readonly seq: Seq
  /** Of the record that is delivered: with `sent` all steps before it go along. */
  readonly from?: Headers | undefined
  readonly details: Details
}

/** The steps of a chunk: their spans begin when the chunk did, and end together. */
export interface ChunkRecorder {
  /** Returns the headers for the record from here on. */
  step(name: CarriedStep, carried: Carried): Headers
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** A late step that was recorded, and the end of the span that it has begun. */
export interface RecordedLate {
  readonly time_ms: number
  end(exit?: Exit.Exit<unknown, unknown>): void
}

/** Takes late steps for the journey topic. */
export interface LateQueue {
  /** What does not fit is dropped and counted. */
  offer(clientId: ClientId, seq: Seq, steps: ReadonlyArray<Journey.JourneyStep>): void
}

/** Records the steps that are taken at one place. */
export interface JourneyRecorder {
  /** The step is taken now. `end` it in every case. */
  step(name: CarriedStep, carried: Carried): Trace.Hop
  chunk(): ChunkRecorder
  late(queue: LateQueue, name: LateStep, late: Late): RecordedLate
}

/** The recorder of one service and instance, for the tracer of the environment. */
export const make = Effect.fnUntraced(function* ({ instance, service }: Source) {
  const clock = yield* Clock.Clock
  const trace = yield* Trace.make

  const taken = (step: Journey.StepName, details: Details): Journey.JourneyStep => ({
    time: clock.currentTimeMillisUnsafe(),
    service,
    instance,
    step,
    details,
  })
  const carry = (name: CarriedStep, { before, details, from = {} }: Carried): Headers => {
    const step = taken(name, details)
    return before === undefined ? Journey.append(from, step) : Journey.append(from, before, step)
  }
  const spanOf = ({ before, clientId, details, from }: Carried): Trace.HopOptions => ({
    clientId,
    from,
    details: before === undefined ? details : { ...before.details, ...details },
  })

  const recorder: JourneyRecorder = {
    step: (name, carried) => {
      const headers = carry(name, carried)
      const hop = trace.begin(spans[name], spanOf(carried))
      return { headers: { ...headers, ...hop?.headers }, end: (exit) => hop?.end(exit) }
    },
    chunk: () => {
      const hops = trace.chunk()
      return {
        step: (name, carried) => ({ ...carry(name, carried), ...hops.begin(spans[name], spanOf(carried)) }),
        end: hops.end,
      }
    },
    late: (queue, name, { clientId, details, from, seq }) => {
      const step = taken(name, details)
      queue.offer(clientId, seq, [...Journey.steps(from), step])
      const isSpan = name === "sent"
      const hop = isSpan
        ? trace.begin(spans[name], { clientId, from, details: { ...details, seq: String(seq) } })
        : undefined
      return { time_ms: step.time, end: (exit) => hop?.end(exit) }
    },
  }
  return recorder
})
