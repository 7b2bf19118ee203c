/** Whether the services that a process stands on answer: what `/readyz` of a gateway and of a pipeline tells. */
import { Effect } from "effect"

/** How long a part may take to answer. */
const answer_within = "2 seconds"

/** The names of the parts that do not answer, or answer `false`, now. */
export const notReady = <R>(
  parts: Readonly<Record<string, Effect.Effect<boolean, unknown, R>>>,
): Effect.Effect<ReadonlyArray<string>, never, R> =>
  Effect.map(
    Effect.forEach(
      Object.entries(parts),
      ([part, check]) =>
        Effect.match(Effect.timeout(check, answer_within), {
          onSuccess: (isReady) => (isReady ? [] : [part]),
          onFailure: () => [part],
        }),
      { concurrency: "unbounded" },
    ),
    (parts) => parts.flat(),
  )

/** What `/readyz` says: what is missing, if anything is, and the alarms that do not keep a process from serving. */
export const readyText = (missing: ReadonlyArray<string>, warnings: ReadonlyArray<string>): string =>
  [missing.length === 0 ? "ready" : `not ready: ${missing.join(", ")}`, ...warnings.map((line) => `warning: ${line}`)]
    .map((line) => `${line}\n`)
    .join("")
