/** How far the consumers of the pipeline are behind, seen from outside: by what their groups have committed. */
import { Effect } from "effect"
import type { LogError } from "../Errors.ts"
import { type Committed, EventLog } from "./EventLog.ts"
import { committedBy, lagOf, type Role, topicOf } from "./Groups.ts"
import { Topics } from "./Topics.ts"

/** How far a consumer group has got in one partition. */
export interface Standing {
  readonly earliest: number
  readonly end: number
  /** `undefined`: it never committed. */
  readonly committed: Committed | undefined
  /** Retained records that the role is not done with. */
  readonly lag: number
}

/** Answers for one role and partition. */
export const makeStandings = Effect.gen(function* () {
  const log = yield* EventLog
  const topics = yield* Topics
  return Effect.fnUntraced(function* (role: Role, partition: number): Effect.fn.Return<Standing, LogError> {
    const topic = topicOf(role, topics)
    const [earliest, end, committed] = yield* Effect.all(
      [log.earliest(topic, partition), log.end(topic, partition), committedBy(log, role, topics, partition)],
      { concurrency: "unbounded" },
    )
    return { earliest, end, committed, lag: lagOf({ earliest, end, committed }, log.incarnation) }
  })
})
