/**
 * What this gateway says to the registry: the lease of its pod, and who is here in which status. Only gateways write
 * it; a write that is refused means that a newer session is somewhere else.
 */
import { registerSize } from "@nimbus/domain/observability"
import type { ClientId, Epoch, PodId } from "@nimbus/domain/protocol"
import { type Presence, Registry } from "@nimbus/domain/services"
import { Effect, Schedule, type Scope } from "effect"
import type { Counts } from "../Metrics.ts"
import type { GatewayLimits } from "../Limits.ts"
import { makeFlusher } from "./Flusher.ts"

type LeaseLimits = Pick<GatewayLimits, "lease_check_ms" | "lease_ms">

export interface Presences {
  /** Tries again what failed and nobody would say again. */
  tick(): void
  /** Writes this soon, together with others; the latest of a client only. */
  write(presence: Presence): void
}

/**
 * Takes the lease, keeps it, and gives it back with the scope. Calls `forgotten` when the registry had lost it: then it
 * has most likely lost everything, and until a session is written again nobody is told of its mail.
 */
export const keepLease = (
  pod: PodId,
  { lease_check_ms, lease_ms }: LeaseLimits,
  counts: Counts,
  forgotten: () => void,
) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const tolerate = () => Effect.sync(() => counts.addTo("failed", "renew lease"))
    const check = Effect.map(registry.livePods, (pods) => {
      if (!pods.includes(pod)) forgotten()
    })
    yield* Effect.acquireRelease(registry.lease(pod, lease_ms), () => Effect.catch(registry.release(pod), tolerate))
    yield* Effect.catch(Effect.andThen(check, registry.renew(pod, lease_ms)), tolerate).pipe(
      Effect.repeat(Schedule.spaced(lease_check_ms)),
      Effect.forkScoped,
    )
  })

/** With locks others are refused until it is known: nobody else says that this session is over. */
const isLast = ({ owner, status }: Presence): boolean => owner !== undefined && status === "OFFLINE"

/** `again`: of how many clients at most. `superseded` is told each write that did not hold. */
export const makePresences = (
  superseded: (clientId: ClientId, epoch: Epoch) => void,
  counts: Counts,
  again: number,
): Effect.Effect<Presences, never, Registry | Scope.Scope> =>
  Effect.gen(function* () {
    const registry = yield* Registry
    let waiting = new Map<ClientId, Presence>()

    const keep = (presence: Presence): boolean => {
      const before = waiting.get(presence.clientId)
      if (before !== undefined && before.epoch > presence.epoch) return false
      waiting.set(presence.clientId, presence)
      return true
    }

    const flush = Effect.suspend(() => {
      if (waiting.size === 0) return Effect.void
      const batch = [...waiting.values()]
      waiting = new Map()
      return Effect.matchEffect(registry.write(batch), {
        // The registry is soft: the next sweep says everything again, but of those that have left.
        onFailure: () =>
          Effect.sync(() => {
            counts.addTo("failed", "write presences")
            for (const presence of batch) if (isLast(presence) && waiting.size < again) keep(presence)
          }),
        onSuccess: (held) =>
          Effect.sync(() => batch.forEach(({ clientId, epoch }, i) => held[i] || superseded(clientId, epoch))),
      })
    })
    yield* registerSize("presences", {
      get size() {
        return { clients: waiting.size }
      },
    })
    const soon = yield* makeFlusher(flush)
    return {
      tick() {
        if (waiting.size > 0) soon.wake()
      },
      write(presence) {
        if (keep(presence)) soon.wake()
      },
    }
  })
