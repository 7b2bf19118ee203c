/**
 * Runs the handlers that the order lets start, and tells it when they end. One that is done without waiting costs no
 * fiber. Those that run end with the scope.
 */
import { type Cause, Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { type EventOrder, recordBytes, type Result } from "@nimbus/domain/protocol"
import { Handlers } from "@nimbus/domain/services"
import type { EventItem, EventItems } from "./EventItems.ts"

export interface Handling {
  /** A record that was read, in its order. */
  add(item: EventItem): void
  /** Starts what may start. */
  pump(): void
  /** A handler died of a bug of ours: it is one that answers always. */
  readonly failed: Effect.Effect<never>
}

export interface HandlingOptions {
  readonly order: EventOrder<EventItem>
  readonly items: EventItems
  /** One that had to wait has ended. */
  readonly onEnded: () => void
}

const isDone = (work: Effect.Effect<Result>): work is Exit.Exit<Result> => Exit.isExit(work)

export const make = Effect.fnUntraced(function* ({
  items,
  onEnded,
  order,
}: HandlingOptions): Effect.fn.Return<Handling, never, Handlers | Scope.Scope> {
  const handlers = yield* Handlers
  const fork = Effect.runForkWith(yield* Effect.context())
  const failure = yield* Deferred.make<never>()
  const running = new Set<Fiber.Fiber<Result>>()
  let pumping = false
  let closing = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      return Fiber.interruptAll(running)
    }),
  )

  const fail = (cause: Cause.Cause<never>): void => {
    if (!closing) Deferred.doneUnsafe(failure, Exit.failCause(cause))
  }
  const end = (item: EventItem, exit: Exit.Exit<Result>): void => {
    if (Exit.isFailure(exit)) return fail(exit.cause)
    items.handled(item, exit.value)
    order.ended(item, item.leaves === undefined ? 0 : recordBytes(item.leaves))
  }
  const start = (item: EventItem): void => {
    const { placed } = item
    if (placed === undefined) throw new Error(`${item.offset} has nothing to be handled`)
    const work = handlers.handle(placed)
    if (isDone(work)) return end(item, work)
    const fiber = fork(work)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return end(item, exit)
    items.began(item)
    running.add(fiber)
    fiber.addObserver((exit) => {
      running.delete(fiber)
      end(item, exit)
      pump()
      onEnded()
    })
  }
  /** A handler that runs may end that of another client, which comes back in here: no handler starts inside of another. */
  const pump = (first?: EventItem): void => {
    if (pumping || closing) return
    pumping = true
    if (first !== undefined) start(first)
    for (let item = order.next(); item !== undefined; item = order.next()) start(item)
    pumping = false
  }
  return {
    add: (item) => {
      if (order.add(item)) pump(item)
      else items.keep(item)
    },
    pump: () => pump(),
    failed: Deferred.await(failure),
  }
})
