/**
 * Reads of the log that end: a range of a partition, one record, or the place where a partition, which is in some order,
 * passes a point.
 */
import type { LogError } from "@nimbus/domain/errors"
import type { StoredRecord } from "@nimbus/domain/protocol"
import { type Chunk, EventLog } from "@nimbus/domain/services"
import { AdminUnavailable } from "@nimbus/domain/admin"
import { Effect, Option, Stream } from "effect"
import type { AdminLimits } from "../Limits.ts"
import { ReadMeter } from "./ReadMeter.ts"

/** Records at offsets `[from, upTo)`. */
export interface Range {
  readonly from: number
  readonly upTo: number
}

export interface LogReader {
  /** What is retained of a partition. */
  range(topic: string, partition: number): Effect.Effect<Range, AdminUnavailable>
  /**
   * Hands over the records that are there, in order, in parts; fails where the log takes longer than `read_timeout_ms`.
   * Returns how far it came: to the end of the range, or less where the request may look through no more (`ReadMeter`).
   */
  read<E, R>(
    topic: string,
    partition: number,
    range: Range,
    each: (records: ReadonlyArray<StoredRecord>) => Effect.Effect<void, E, R>,
  ): Effect.Effect<number, AdminUnavailable | E, R>
  /** The record at this offset, if there is one. */
  at(topic: string, partition: number, offset: number): Effect.Effect<StoredRecord | undefined, AdminUnavailable>
  /** The first record of the partition that is not before the point, which is found by halving. */
  find(
    topic: string,
    partition: number,
    isBefore: (record: StoredRecord) => boolean,
  ): Effect.Effect<StoredRecord | undefined, AdminUnavailable>
}

export const makeLogReader = Effect.fnUntraced(function* (
  limits: AdminLimits,
): Effect.fn.Return<LogReader, never, EventLog> {
  const log = yield* EventLog

  const range = (topic: string, partition: number) =>
    Effect.all([log.earliest(topic, partition), log.end(topic, partition)], { concurrency: 2 }).pipe(
      Effect.map(([from, upTo]): Range => ({ from, upTo })),
      Effect.mapError(unavailable),
    )

  const parts = (topic: string, partition: number, { from, upTo }: Range) => {
    const isWithin = ({ offset }: StoredRecord) => offset >= from && offset < upTo
    if (from >= upTo) return Stream.empty
    return log.tail(topic, partition, from).pipe(
      Stream.takeUntil((chunk: Chunk) => chunk.next >= upTo),
      Stream.map(({ records }) => records.filter(isWithin)),
      Stream.mapError(unavailable),
    )
  }

  const inTime = <A, E, R>(topic: string, effect: Effect.Effect<A, E, R>) =>
    Effect.timeoutOrElse(effect, {
      duration: limits.read_timeout_ms,
      orElse: () => Effect.fail(new AdminUnavailable({ message: `${topic} was not read in time` })),
    })

  /** The first record of a range. */
  const first = (topic: string, partition: number, range: Range) =>
    parts(topic, partition, range).pipe(
      Stream.filter((records) => records.length > 0),
      Stream.runHead,
      Effect.map((records) => Option.getOrUndefined(records)?.[0]),
    )

  const halve = Effect.fnUntraced(function* (
    topic: string,
    partition: number,
    isBefore: (record: StoredRecord) => boolean,
  ) {
    let { from, upTo } = yield* range(topic, partition)
    let found: StoredRecord | undefined
    while (from < upTo) {
      const middle = Math.floor((from + upTo) / 2)
      const record = yield* first(topic, partition, { from: middle, upTo })
      if (record !== undefined && isBefore(record)) from = record.offset + 1
      else {
        upTo = middle
        found = record ?? found
      }
    }
    return found
  })

  return {
    range,
    read: (topic, partition, range, each) =>
      inTime(
        topic,
        Effect.gen(function* () {
          const meter = yield* ReadMeter.current
          let next = range.from
          yield* Stream.runForEach(
            Stream.takeUntil(parts(topic, partition, range), (records) => {
              next = (records.at(-1)?.offset ?? next - 1) + 1
              meter.left_bytes -= records.reduce((sum, { value }) => sum + value.length, 0)
              return meter.left_bytes <= 0
            }),
            each,
          )
          return meter.left_bytes <= 0 ? Math.min(next, range.upTo) : range.upTo
        }),
      ),
    at: (topic, partition, offset) =>
      inTime(
        topic,
        Effect.gen(function* () {
          const { from, upTo } = yield* range(topic, partition)
          if (offset < from || offset >= upTo) return undefined
          return yield* first(topic, partition, { from: offset, upTo: offset + 1 })
        }),
      ),
    find: (topic, partition, isBefore) => inTime(topic, halve(topic, partition, isBefore)),
  }
})

const unavailable = ({ code, topic }: LogError) => new AdminUnavailable({ message: `${topic} can't be read: ${code}` })
