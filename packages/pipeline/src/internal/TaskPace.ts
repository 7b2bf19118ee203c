/**
 * How fast parts are written. They stand in the events topic before the events of all clients of the partition, and a log
 * takes far more than the event consumer can pass on: so a task that floods would hold up everybody else. Parts are
 * therefore written no further than `ahead_records` ahead of what the event consumer has committed.
 *
 * It is looked up once in so many records, so that it costs nothing where tasks are slow.
 */
import { Effect } from "effect"
import { type EventLog, makeStandings, type Topics, untilItWorks } from "@nimbus/domain/services"
import type { TaskWorkerLimits } from "../Limits.ts"
import { wait_ms } from "./Backoff.ts"

/** Before so many more records are written: done when they may be. */
export type TaskPace = (records: number) => Effect.Effect<void>

export const make = Effect.fnUntraced(function* (
  partition: number,
  limits: TaskWorkerLimits,
): Effect.fn.Return<TaskPace, never, EventLog | Topics> {
  const standing = yield* makeStandings
  const look = untilItWorks("look how far the event consumer is", standing("event-consumer", partition), (failures) =>
    wait_ms(failures, limits),
  )
  /** Records that may be ahead of it, at most. */
  let ahead = 0
  const awaitConsumer: Effect.Effect<void> = Effect.flatMap(look, ({ lag }) => {
    ahead = lag
    return lag <= limits.ahead_records ? Effect.void : Effect.andThen(Effect.sleep(limits.ahead_look_ms), awaitConsumer)
  })
  return (records) =>
    Effect.suspend(() => {
      const isDue = ahead > limits.ahead_records
      return Effect.map(isDue ? awaitConsumer : Effect.void, () => void (ahead += records))
    })
})
