/** What the conformance suites share: one layer for all tests of a suite, and failures that say what is missing. */
import { describe, layer as withLayer, type Vitest } from "@effect/vitest"
import type { Layer } from "effect"

/**
 * Longer than any wait in a suite. A test that waits in vain therefore fails with what it waited for (`NeverHappened`),
 * before the runner ends it, whatever the default of the runner is.
 */
export const test_ms = 120_000

/** Runs `tests` on one build of `layer`, with the real clock and randomness. */
export const conformance = <R, E>(
  name: string,
  layer: Layer.Layer<R, E>,
  tests: (it: Vitest.MethodsNonLive<R>) => void,
): void =>
  void describe(name, { timeout: test_ms }, () =>
    withLayer(layer, { excludeTestServices: true, timeout: test_ms })(tests),
  )
