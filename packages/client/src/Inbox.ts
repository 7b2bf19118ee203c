/**
 * Deliveries that wait for the consumer, and its progress.
 *
 * A batch has the deliveries of one frame, and stays here until its consumer has processed it. If a consumer ends in the
 * middle, the next one gets the rest. There is one consumer at a time: another one waits.
 *
 * The core bounds it, because it delivers no more than may wait (`Core.ts`, invariant 4).
 */
import type { Incarnation } from "@nimbus/domain/protocol"
import type { Cause } from "effect"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { type Delivery, type Input, isLost } from "./Core.ts"
import type { ClientError } from "./Errors.ts"
import type { ClientLimits } from "./Limits.ts"

type Done = Extract<Input, { readonly _tag: "Done" }>

export interface Inbox {
  deliver(log: Incarnation, items: Array.NonEmptyReadonlyArray<Delivery>): void
  /** The consumer receives what is here, then the error. */
  end(cause: Cause.Cause<ClientError>): void
  /** Drops what is here: it was not acknowledged, and the next process receives it again. */
  readonly clear: Effect.Effect<void>
  readonly results: Stream.Stream<Delivery, ClientError>
  /** Batches that are not done. */
  readonly size: { readonly batches: number }
  run<E, R>(step: (delivery: Delivery) => Effect.Effect<unknown, E, R>): Effect.Effect<never, E | ClientError, R>
}

/** A batch and how many of it are done. */
interface Current {
  readonly log: Incarnation
  readonly items: Array.NonEmptyReadonlyArray<Delivery>
  done: number
}

/** `done` is called for each step of progress. */
export const make = Effect.fnUntraced(function* (limits: ClientLimits, done: (done: Done) => void) {
  const queue = yield* Queue.bounded<Current, ClientError>(limits.window_results + limits.waiting_notices)
  const consumer = yield* Semaphore.make(1)
  let current: Current | undefined

  const next: Effect.Effect<Current, ClientError> = Effect.suspend(() => {
    if (current !== undefined) return Effect.succeed(current)
    return Effect.map(Queue.take(queue), (batch) => {
      current = batch
      return batch
    })
  })
  const progress = (batch: Current, upTo: number): void => {
    const items = upTo - batch.done
    if (items === 0) return
    batch.done = upTo
    if (upTo === batch.items.length) current = undefined
    done({ _tag: "Done", log: batch.log, seq: seqOf(batch.items[upTo - 1]), items })
  }
  return {
    deliver: (log, items) => {
      const isTaken = Queue.offerUnsafe(queue, { log, items, done: 0 })
      // Each batch has at least one of the deliveries that the core counts; once it has ended, nobody reads.
      if (!isTaken && queue.state._tag === "Open") throw new Error("The core delivered more than may wait.")
    },
    end: (cause) => Queue.failCauseUnsafe(queue, cause),
    clear: Effect.ignore(Queue.clear(queue)),
    results: streamOf(consumer, next, progress),
    get size() {
      return { batches: Queue.sizeUnsafe(queue) + (current === undefined ? 0 : 1) }
    },
    run: (step) =>
      consumer.withPermit(
        untilInterrupted((goesOn) =>
          Effect.whileLoop({
            while: goesOn,
            body: () => Effect.flatMap(next, (batch) => consume(batch, step, progress, goesOn)),
            step: () => {},
          }),
        ),
      ),
  } satisfies Inbox as Inbox
})

/** A pull means that the array pulled before is done. */
const streamOf = (
  consumer: Semaphore.Semaphore,
  next: Effect.Effect<Current, ClientError>,
  progress: (batch: Current, upTo: number) => void,
): Stream.Stream<Delivery, ClientError> =>
  Stream.unwrap(
    Effect.map(consumer.takeScoped(1), () => {
      let pulled: Current | undefined
      const pull = Effect.suspend(() => {
        if (pulled !== undefined) progress(pulled, pulled.items.length)
        pulled = undefined
        return Effect.map(next, (batch) => {
          pulled = batch
          return rest(batch)
        })
      })
      return Stream.fromPull(Effect.succeed(pull))
    }),
  )

const rest = (batch: Current): Array.NonEmptyReadonlyArray<Delivery> => {
  const items = batch.items.slice(batch.done)
  return batch.done > 0 && Array.isReadonlyArrayNonEmpty(items) ? items : batch.items
}

/**
 * Runs a loop that ends once `goesOn` returns `false`. It may be a step of the loop that has us interrupted, by what it
 * tells others: such a step has its turn to end before the loop is interrupted too, and then counts as done.
 */
const untilInterrupted = <E, R>(
  loop: (goesOn: () => boolean) => Effect.Effect<void, E, R>,
): Effect.Effect<never, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    let isInterrupted = false
    return Effect.flatMap(Effect.forkChild(restore(loop(() => !isInterrupted))), (looping) => {
      const end = Effect.suspend(() => {
        isInterrupted = true
        return Effect.andThen(Effect.yieldNow, Fiber.interrupt(looping))
      })
      return restore(Effect.andThen(Fiber.join(looping), Effect.never)).pipe(Effect.onInterrupt(() => end))
    })
  })

/** One fiber, one step after the other; what was done is done also if the next step fails. */
const consume = <E, R>(
  batch: Current,
  step: (delivery: Delivery) => Effect.Effect<unknown, E, R>,
  progress: (batch: Current, upTo: number) => void,
  goesOn: () => boolean,
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    let at = batch.done
    return Effect.ensuring(
      Effect.whileLoop({
        while: () => at < batch.items.length && goesOn(),
        body: () => step(batch.items[at]!),
        step: () => {
          at += 1
        },
      }),
      Effect.sync(() => progress(batch, at)),
    )
  })

const seqOf = (delivery: Delivery | undefined): Done["seq"] => {
  if (delivery === undefined) return undefined
  return isLost(delivery) ? delivery.upTo : delivery.seq
}
