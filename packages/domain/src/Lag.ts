/**
 * How far the consumers of the pipeline are behind, seen from outside.
 *
 * ```
 *   results   … 7  8  9 │ 8' 9'          the seqs; the router has committed the 9, and repeats can't be committed
 *                     ▲ committed        counted: 2 behind
 *   events    … 7  8  9 │                all handled, so no result has a seq of 10 or more: 0 behind
 * ```
 *
 * What a role has not committed is what it is behind by, but for repeats: an event consumer that started over, as after a
 * crash, has written some results again, and if they are the last of their partition no commit of the router is ever
 * theirs (docs/protocol.md). Where all events are handled, what is no repeat has a seq above that of the committed
 * record and below the end of the events topic, and there are no more such records than seqs.
 */
import { Effect, Option, Stream } from "effect"
import type { LogError } from "./Errors.ts"
import { EventLog } from "./EventLog.ts"
import { committedBy, lagOf, type Role, topicOf } from "./Groups.ts"
import type { Seq } from "./Ids.ts"
import { lagLimits } from "./Limits.ts"
import { peekSeq } from "./Records.ts"
import { Topics } from "./Topics.ts"

export interface Standing {
  readonly earliest: number
  readonly end: number
  /** `undefined`: it never committed. */
  readonly committed: number | undefined
  /** Retained records that the role is not done with. */
  readonly lag: number
}

/** Answers for one role and partition. It remembers the last record that it has looked at, of each partition. */
export const makeStandings = Effect.gen(function* () {
  const log = yield* EventLog
  const topics = yield* Topics
  const looked = new Map<number, { readonly committed: number; readonly seq: Seq | undefined }>()

  const count = Effect.fnUntraced(function* (role: Role, partition: number): Effect.fn.Return<Standing, LogError> {
    const topic = topicOf(role, topics)
    const [earliest, end, committed] = yield* Effect.all(
      [log.earliest(topic, partition), log.end(topic, partition), committedBy(log, role, topics, partition)],
      { concurrency: "unbounded" },
    )
    return { earliest, end, committed, lag: lagOf(role, { earliest, end, committed }) }
  })

  /** The seq of the result at a commit; `undefined`: it is retained no more, or can't be read now. */
  const seqAt = Effect.fnUntraced(function* (partition: number, committed: number) {
    const known = looked.get(partition)
    if (known?.committed === committed) return known.seq
    const chunk = yield* log.tail(topics.results, partition, committed).pipe(
      Stream.filter(({ records }) => records.length > 0),
      Stream.runHead,
      Effect.timeoutOption(lagLimits.read_ms),
      Effect.map(Option.flatten),
    )
    const [record] = Option.isSome(chunk) ? chunk.value.records : []
    const seq = record?.offset === committed ? peekSeq(record.value) : undefined
    if (Option.isSome(chunk)) looked.set(partition, { committed, seq })
    return seq
  })

  return Effect.fnUntraced(function* (role: Role, partition: number): Effect.fn.Return<Standing, LogError> {
    const counted = yield* count(role, partition)
    if (role !== "result-consumer" || counted.lag === 0 || counted.committed === undefined) return counted
    const events = yield* count("event-consumer", partition)
    if (events.lag > 0) return counted
    const seq = yield* seqAt(partition, counted.committed)
    return seq === undefined ? counted : { ...counted, lag: Math.min(counted.lag, Math.max(0, events.end - 1 - seq)) }
  })
})
