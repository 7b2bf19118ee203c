/**
 * Callers that wait to send, because too many events are unaccepted; until an event is accepted; or for a result.
 *
 * The window has one permit for each unaccepted event, including those that are remembered from an earlier process. Waiting
 * callers get permits in the order in which they came.
 */
import type { Cursor, EventId, Frames } from "@nimbus/domain/protocol"
import type { Cause } from "effect"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { type Delivery, type Input, isLost, type State } from "./Core.ts"
import {
  type ClientError,
  EventFailed,
  EventRefused,
  EventRepeated,
  type Refusal,
  ResultLost,
  TaskCancelled,
} from "./Errors.ts"
import type { Outgoing } from "./Memory.ts"

/** A call that waits until its events are settled. */
interface Waiter {
  open: number
  refused: EventRefused | undefined
  readonly settled: Deferred.Deferred<void, EventRefused | ClientError>
}
type NoAnswer = EventFailed | EventRepeated | ResultLost | TaskCancelled | ClientError
type Answer = Deferred.Deferred<Frames.ResultItem, NoAnswer>

export interface Senders {
  /** Sends at most `window_events` and waits until they are settled. `stream`: as an input of the core has it. */
  submit(
    events: ReadonlyArray<Outgoing>,
    named: boolean,
    stream?: string,
  ): Effect.Effect<void, EventRefused | ClientError>
  /** Sends one and waits for its result, or for the end of its task. `named` as for `submit`. */
  request(event: Outgoing, named: boolean): Effect.Effect<Frames.ResultItem, EventRefused | NoAnswer>
  accepted(ids: ReadonlyArray<EventId>): void
  refused(id: EventId, refusal: Refusal): void
  /** Its id was used before. Who still waits for the result of this id gets none. */
  repeated(id: EventId, first: Cursor): void
  delivered(items: ReadonlyArray<Delivery>): void
  /** Releases the permits of settled events, after each change of the core. */
  readonly release: Effect.Effect<void>
  /** Events that somebody waits for to be accepted, and to be answered. */
  readonly size: { readonly settling: number; readonly answers: number }
  /** Nobody waits any longer. */
  end(cause: Cause.Cause<ClientError>): Effect.Effect<void>
}

/** `tell` passes an input to the core and carries out its outputs. */
export const make = Effect.fnUntraced(function* (core: State, tell: (input: Input) => void) {
  const { unaccepted } = core.ledger
  const window = yield* Semaphore.make(core.limits.window_events)
  let held = Math.min(unaccepted.size, core.limits.window_events)
  yield* window.take(held)
  const waiters = new Map<EventId, ReadonlyArray<Waiter>>()
  /** Of each id whose result somebody waits for. */
  const answers = new Map<EventId, ReadonlyArray<Answer>>()
  let ended: Cause.Cause<ClientError> | undefined

  const release = Effect.suspend(() => {
    const free = ended === undefined ? held - unaccepted.size : held
    if (free <= 0) return Effect.void
    held -= free
    return window.release(free)
  })
  const settle = (id: EventId, refused: EventRefused | undefined): void => {
    for (const waiter of waiters.get(id) ?? []) {
      waiter.open -= 1
      waiter.refused ??= refused
      if (waiter.open > 0) continue
      Deferred.doneUnsafe(waiter.settled, waiter.refused === undefined ? Effect.void : Effect.fail(waiter.refused))
    }
    waiters.delete(id)
  }
  const forget = (waiter: Waiter, events: ReadonlyArray<Outgoing>): void => {
    for (const { id } of events) {
      const others = (waiters.get(id) ?? []).filter((other) => other !== waiter)
      if (others.length > 0) waiters.set(id, others)
      else waiters.delete(id)
    }
  }
  // After the permits are taken nothing interrupts until the core has the events. Otherwise permits would leak.
  const submit = (events: ReadonlyArray<Outgoing>, named: boolean, stream?: string) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        yield* restore(window.take(events.length))
        held += events.length
        if (ended !== undefined) {
          yield* release
          return yield* Effect.failCause(ended)
        }
        const waiter: Waiter = { open: events.length, refused: undefined, settled: Deferred.makeUnsafe() }
        for (const { id } of events) waiters.set(id, [...(waiters.get(id) ?? []), waiter])
        tell({ _tag: "Send", events, named, stream })
        yield* release
        return yield* Effect.onInterrupt(restore(Deferred.await(waiter.settled)), () =>
          Effect.sync(() => forget(waiter, events)),
        )
      }),
    )
  const request = (event: Outgoing, named: boolean) =>
    Effect.suspend(() => {
      const answer: Answer = Deferred.makeUnsafe()
      answers.set(event.id, [...(answers.get(event.id) ?? []), answer])
      return Effect.ensuring(
        Effect.andThen(submit([event], named), Deferred.await(answer)),
        Effect.sync(() => {
          const others = (answers.get(event.id) ?? []).filter((other) => other !== answer)
          if (others.length > 0) answers.set(event.id, others)
          else answers.delete(event.id)
        }),
      )
    })
  const answer = (id: EventId, outcome: Effect.Effect<Frames.ResultItem, NoAnswer>): void => {
    for (const one of answers.get(id) ?? []) Deferred.doneUnsafe(one, outcome)
  }
  const delivered = (items: ReadonlyArray<Delivery>): void => {
    if (answers.size === 0) return
    for (const item of items) {
      if (isLost(item)) {
        for (const id of answers.keys()) if (!unaccepted.has(id)) answer(id, Effect.fail(new ResultLost({ id })))
        continue
      }
      // The parts of a task have ids of their own.
      const id = item.end === undefined ? item.id : (item.of ?? item.id)
      if (answers.has(id)) answer(id, outcomeOf(id, item))
    }
  }
  return {
    submit,
    request,
    accepted: (ids) => {
      for (const id of ids) settle(id, undefined)
    },
    refused: (id, refusal) => settle(id, new EventRefused({ id, refusal })),
    repeated: (id, first) => answer(id, Effect.fail(new EventRepeated({ id, first }))),
    delivered,
    release,
    get size() {
      return { settling: waiters.size, answers: answers.size }
    },
    end: (cause) =>
      Effect.suspend(() => {
        ended ??= cause
        for (const waiting of waiters.values()) {
          for (const waiter of waiting) Deferred.doneUnsafe(waiter.settled, Effect.failCause(cause))
        }
        for (const id of answers.keys()) answer(id, Effect.failCause(cause))
        return release
      }),
  } satisfies Senders as Senders
})

const outcomeOf = (id: EventId, { error, ...item }: Frames.ResultItem) => {
  if (error !== undefined) return Effect.fail(new EventFailed({ id, failure: error }))
  return item.end === "cancelled" ? Effect.fail(new TaskCancelled({ id })) : Effect.succeed(item)
}
