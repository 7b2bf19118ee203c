/**
 * The status of a cluster as far as it can be had soon: an operator asks for it while something is away, and must not wait
 * for that. What the log and the registry tell is asked for at the same time, and what has not come by then is named.
 */
import { type EventLog, MailboxMemory, type Registry, type Topics } from "@nimbus/domain/services"
import { AdminUnavailable, type StatusView } from "@nimbus/domain/admin"
import { ServiceOperations } from "@nimbus/gateway"
import { Cause, Effect, Exit, Fiber, type Layer, Option } from "effect"

/** The services, each for itself: to make one must not wait for the other. */
export interface Parts<E, E2> {
  readonly log: Layer.Layer<EventLog | Topics, E>
  readonly registry: Layer.Layer<Registry, E2>
}

/** What is known, and what is not. */
export interface ReachedStatus extends Partial<StatusView> {
  readonly unreached: ReadonlyArray<{ readonly part: string; readonly reason: string }>
}

/** How long each part may take. */
const reach_ms = 4_000

/** Fails where nothing could be reached. */
export const reached = Effect.fn("ClusterStatus.reached")(function* <E, E2>(parts: Parts<E, E2>) {
  // Clients are counted by the registry alone.
  const clients = Effect.provide(ServiceOperations.parts.clients, [parts.registry, MailboxMemory.layerMemory()])
  const log = Effect.provide(ServiceOperations.parts.log, parts.log)
  const [ofClients, ofLog] = yield* Effect.all([within(clients), within(log)], { concurrency: 2 })
  const unreached = [
    ...(typeof ofLog === "string" ? [{ part: "log", reason: ofLog }] : []),
    ...(typeof ofClients === "string" ? [{ part: "registry", reason: ofClients }] : []),
  ]
  if (typeof ofLog === "string" && typeof ofClients === "string") {
    return yield* new AdminUnavailable({
      message: `nothing can be reached: of the log ${ofLog}; of the registry ${ofClients}`,
    })
  }
  return {
    ...(typeof ofClients === "string" ? {} : ofClients),
    ...(typeof ofLog === "string" ? {} : ofLog),
    unreached,
  } satisfies ReachedStatus
})

/** The answer, or why there is none. What hangs is left to end on its own: it must not hold up the answer. */
const within = Effect.fnUntraced(function* <A extends object, E, R>(question: Effect.Effect<A, E, R>) {
  const asking = yield* Effect.forkDetach(question)
  const exit = yield* Effect.timeoutOption(Fiber.await(asking), reach_ms)
  if (Option.isNone(exit)) {
    yield* Effect.forkDetach(Fiber.interrupt(asking))
    return `no answer within ${reach_ms / 1000} s`
  }
  return Exit.match(exit.value, { onSuccess: (answer): A | string => answer, onFailure: reasonOf })
})

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
