/**
 * Runs the handlers that the order lets start, and tells it when they end. One that is done without waiting costs no
 * fiber. Those that run end with the scope.
 *
 * Whatever happens while one event is handled is that event's alone: a defect, also one of writing its result, is its
 * result, and no other event waits behind it.
 */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { type EventOrder, recordBytes, type Result, type SlotWaiter } from "@nimbus/domain/protocol"
import { type FailureCode, Handlers, type PlacedEvent } from "@nimbus/domain/services"
import type { EventItem, EventItems } from "./EventItems.ts"
import type { HandlerMeter } from "./HandlerMeter.ts"

export interface Handling {
  /** A chunk was read: its records follow. */
  read(): void
  /** A record that was read, in its order. */
  add(item: EventItem): void
  /** Starts what may start. */
  pump(): void
}

export interface HandlingOptions {
  readonly order: EventOrder<EventItem>
  readonly items: EventItems
  readonly meter: HandlerMeter
  /** One that had to wait has ended. */
  readonly onEnded: () => void
}

const isDone = (work: Effect.Effect<Result>): work is Exit.Exit<Result> => Exit.isExit(work)

export const make = Effect.fnUntraced(function* ({
  items,
  meter,
  onEnded,
  order,
}: HandlingOptions): Effect.fn.Return<Handling, never, Handlers | Scope.Scope> {
  const handlers = yield* Handlers
  const fork = Effect.runForkWith(yield* Effect.context())
  const running = new Map<Fiber.Fiber<Result>, EventItem>()
  let pumping = false
  let closing = false
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closing = true
      handlers.slots.leave(waiter)
      return Effect.andThen(Fiber.interruptAll(running.keys()), Effect.sync(abandon))
    }),
  )

  const died = (placed: PlacedEvent, cause: Cause.Cause<unknown>): Result => {
    const { clientId, event, seq } = placed
    const about = { handler: event.name, clientId, eventId: event.id, seq }
    fork(Effect.annotateLogs(Effect.logError("An event could not be handled", cause), about))
    const code: FailureCode = "HANDLER_FAILED"
    return { seq, id: event.id, name: event.name, error: { code, message: "The handler failed unexpectedly" } }
  }
  /** What was given up leaves its slots to other partitions. */
  const abandon = (): void => {
    order.abandon()
    meter.abandoned(running.values())
    for (const name of new Set([...running.values()].flatMap(({ slot }) => slot ?? []))) handlers.slots.tell(name)
  }
  const answer = (item: EventItem, placed: PlacedEvent, exit: Exit.Exit<Result>): void => {
    try {
      items.handled(item, Exit.isSuccess(exit) ? exit.value : died(placed, exit.cause))
    } catch (defect) {
      items.handled(item, died(placed, Cause.die(defect)))
    }
  }
  const end = (item: EventItem, placed: PlacedEvent, exit: Exit.Exit<Result>): void => {
    answer(item, placed, exit)
    order.ended(item, item.leaves === undefined ? 0 : recordBytes(item.leaves))
  }
  const endAtOnce = (item: EventItem, placed: PlacedEvent, exit: Exit.Exit<Result>): void => {
    meter.ended(item, false)
    end(item, placed, exit)
  }
  const handle = (placed: PlacedEvent): Effect.Effect<Result> => {
    try {
      return handlers.handle(placed)
    } catch (defect) {
      return Exit.die(defect)
    }
  }
  const start = (item: EventItem): void => {
    const { placed } = item
    if (placed === undefined) throw new Error(`${item.offset} has nothing to be handled`)
    meter.began(item)
    const work = handle(placed)
    if (isDone(work)) return endAtOnce(item, placed, work)
    const fiber = fork(work)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return endAtOnce(item, placed, exit)
    items.keep(item)
    meter.waits(item)
    running.set(fiber, item)
    fiber.addObserver((exit) => {
      if (closing && Exit.isFailure(exit)) return
      running.delete(fiber)
      meter.ended(item, true)
      end(item, placed, exit)
      if (item.slot !== undefined) handlers.slots.tell(item.slot)
      pump()
      onEnded()
    })
  }
  /** A handler that runs may end that of another client, which comes back in here: no handler starts inside of another. */
  const pump = (first?: EventItem): void => {
    if (pumping || closing) return
    pumping = true
    if (first === undefined) meter.look()
    else start(first)
    for (let item = order.next(); item !== undefined; item = order.next()) start(item)
    pumping = false
  }
  const waiter: SlotWaiter = {
    waitsSince: (name) => order.waitsSince(name),
    pump: () => {
      pump()
      onEnded()
    },
  }
  handlers.slots.join(waiter)
  return {
    read: meter.look,
    add: (item) => {
      if (order.add(item)) pump(item)
      else items.keep(item)
    },
    pump: () => pump(),
  }
})
