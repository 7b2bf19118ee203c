/**
 * How much the parts of a process keep in memory: whoever has a queue, a buffer or a map that grows lets others look at
 * its size, to hold it against its bound. The simulator looks after every turn; by default nobody does.
 */
import type { Scope } from "effect"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Something with a size: how much of each thing it keeps. Only to be looked at, and cheap. */
export interface Sized {
  readonly size: Readonly<Record<string, number>>
}

export interface MemoryGauges {
  /** There is such a part now. Returns what to call once there is not. */
  add(part: string, sized: Sized): () => void
}

/** Those of the process. */
export const MemoryGauges = Context.Reference<MemoryGauges>("@nimbus/domain/MemoryGauges", {
  defaultValue: () => ({ add: () => () => {} }),
})

/** Shows the size of a part as long as the scope lives. */
export const registerSize = (part: string, sized: Sized): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(MemoryGauges, (gauges) =>
    Effect.acquireRelease(
      Effect.sync(() => gauges.add(part, sized)),
      (remove) => Effect.sync(remove),
    ),
  ).pipe(Effect.asVoid)
