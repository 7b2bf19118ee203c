/**
 * What reading of logs and stores for those who ask over HTTP may take of this gateway, all of them together: operators
 * with their pages, and queries of the archive. Clients and their results come first.
 *
 * ```
 *   asks ──▶ waits for a place ──▶ reads ──▶ answer
 *              │ too many, too long  │ too long       the place stays empty `reads_rest` times as long as it was taken
 *              └──── ReadsBusy ◀─────┘
 * ```
 *
 * 1. At most `reads_at_once` read, and as many wait as may, for `reads_wait_ms`: the others are refused, and may ask
 *    again.
 * 2. A place that was read at stays empty for a while. So all reading takes a part of this process' time, however many
 *    ask, and however fast they ask again.
 * 3. One request reads for `reads_ms` and looks through `reads_bytes` at most. What lies further back is not found.
 * 4. Who asks no more, for the connection is gone, is interrupted, and neither waits nor reads on.
 */
import { Elapsed } from "@nimbus/domain/observability"
import { ReadsBusy } from "@nimbus/domain/admin"
import { Context, Effect, Layer, Semaphore } from "effect"
import { Limits } from "../Limits.ts"
import { ReadMeter } from "../operations/ReadMeter.ts"

export class ReadBudget extends Context.Service<
  ReadBudget,
  {
    /** Runs it when there is a place, or fails. */
    read<A, E, R>(read: Effect.Effect<A, E, R>): Effect.Effect<A, E | ReadsBusy, R>
  }
>()("@nimbus/gateway/ReadBudget") {
  static readonly layer = Layer.effect(
    ReadBudget,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const { reads } = yield* Limits
  const { reads_at_once, reads_bytes, reads_ms, reads_rest, reads_rest_ms, reads_wait_ms, reads_waiting } = reads
  const places = yield* Semaphore.make(reads_at_once)
  const scope = yield* Effect.scope
  let waiting = 0

  const leave = (taken_ms: number) =>
    Effect.sleep(Math.min(taken_ms * reads_rest, reads_rest_ms)).pipe(
      Effect.ensuring(places.release(1)),
      Effect.forkIn(scope, { startImmediately: true }),
    )
  const inTime = <A, E, R>(read: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => Effect.provideService(read, ReadMeter.current, new ReadMeter(reads_bytes))).pipe(
      Effect.timeoutOrElse({
        duration: reads_ms,
        orElse: () => new ReadsBusy({ message: `it took longer than ${reads_ms / 1000} s: ask for less, or later` }),
      }),
    )
  /** `began` is called once there is a place. */
  const inTurn = <A, E, R>(read: Effect.Effect<A, E, R>, began: () => void) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        yield* restore(places.take(1))
        began()
        const from_ms = yield* Elapsed.ms
        return yield* Effect.onExit(restore(inTime(read)), () =>
          Effect.flatMap(Elapsed.ms, (now_ms) => leave(now_ms - from_ms)),
        )
      }),
    )

  return ReadBudget.of({
    read: (read) =>
      Effect.suspend(() => {
        if (waiting >= reads_waiting) return tooMany
        waiting++
        let isWaiting = true
        const begin = () => {
          if (isWaiting) waiting--
          isWaiting = false
        }
        const patience = Effect.sleep(reads_wait_ms).pipe(
          Effect.andThen(Effect.suspend(() => (isWaiting ? tooMany : Effect.never))),
        )
        return Effect.raceFirst(inTurn(read, begin), patience).pipe(Effect.ensuring(Effect.sync(begin)))
      }),
  })
})

const tooMany = Effect.suspend(() => Effect.fail(new ReadsBusy({ message: "too many ask at once: ask again" })))
