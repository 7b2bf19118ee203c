/**
 * What the components of a process keep in memory. A component with a queue, a buffer or a map that can grow registers its
 * size here, so that it can be compared with its bound. The simulator checks it after every turn. By default nothing reads
 * it.
 */
import type { Scope } from "effect"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** A component with a size: a count for each thing that it keeps. Reading it has no effects and is cheap. */
export interface Sized {
  readonly size: Readonly<Record<string, number>>
}

export interface MemoryGauges {
  /** Registers a component. Returns a function that removes it. */
  add(part: string, sized: Sized): () => void
}

/** The gauges of the process. */
export const MemoryGauges = Context.Reference<MemoryGauges>("@nimbus/domain/MemoryGauges", {
  defaultValue: () => ({ add: () => () => {} }),
})

/** Registers the size of a component until the scope closes. */
export const registerSize = (part: string, sized: Sized): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(MemoryGauges, (gauges) =>
    Effect.acquireRelease(
      Effect.sync(() => gauges.add(part, sized)),
      (remove) => Effect.sync(remove),
    ),
  ).pipe(Effect.asVoid)
