/**
 * The registry in memory: for the embedded server, tests and simulation. Every entry moves by `Status.transition` and
 * nothing else; leases run out by Effect's clock.
 *
 * Entries stand in two maps. What is written stands in `recent`. Once in `idle_ms` that takes the place of `older`,
 * whose entries are forgotten: nobody has written them for that long.
 */
import { Clock, Effect, Layer, Result, Stream } from "effect"
import { ClientInUse, PodTaken, RegistryUnavailable } from "../Errors.ts"
import { countForgotten } from "./Forgotten.ts"
import * as Idle from "./Idle.ts"
import type { ClientId, Epoch, PodId } from "../protocol/Ids.ts"
import { type RegistryLimits, registryLimits } from "../Limits.ts"
import { type ConnectBy, type Entry, type Presence, Registry } from "./Registry.ts"
import { type Status, type Step, transition } from "../protocol/Status.ts"

/** A registry, and in hand the faults that the protocol allows a registry to have. */
export interface RegistryMemory {
  readonly registry: Registry["Service"]
  /** Everything as it is now; what happens later does not show in it. */
  readonly snapshot: () => RegistrySnapshot
  /** Rolls back, as a failover to a replica that had not got the last writes. */
  readonly restore: (snapshot: RegistrySnapshot) => void
  /** Forgets everything, leases too. */
  readonly wipe: () => void
}

/** Everything a memory registry knows, at one moment. */
export interface RegistrySnapshot {
  readonly statuses: ReadonlyMap<ClientId, Status>
  /** When each lease runs out, in ms since 1970. */
  readonly leases: ReadonlyMap<PodId, number>
}

/** A registry that lives as long as the layer. */
export const layerMemory = (limits: RegistryLimits = registryLimits): Layer.Layer<Registry> =>
  Layer.sync(Registry, () => makeMemory(limits).registry)

/** The same, as `NIMBUS_IDLE_DAYS` says. */
export const layer = Layer.unwrap(Effect.map(Idle.config, (idle_ms) => layerMemory({ ...registryLimits, idle_ms })))

/** The same as a value, with what a test needs to wipe it or to roll it back. Holds at most `entries` clients. */
export const makeMemory = (limits: RegistryLimits = registryLimits): RegistryMemory => {
  let recent = new Map<ClientId, Status>()
  let older: typeof recent = new Map()
  let turned_ms: number | undefined
  let leases = new Map<PodId, number>()

  const find = (clientId: ClientId) => recent.get(clientId) ?? older.get(clientId)
  const move = (clientId: ClientId, step: Step) => {
    const moved = transition(find(clientId), step)
    if (Result.isSuccess(moved) && moved.success !== undefined) {
      recent.set(clientId, moved.success)
      older.delete(clientId)
      if (recent.size + older.size > limits.entries) forgetOldest(older, recent, limits.entries)
    }
    return moved
  }
  /** Returns how many entries were forgotten. */
  const turn = (now_ms: number): number => {
    const since_ms = now_ms - (turned_ms ??= now_ms)
    if (since_ms < limits.idle_ms) return 0
    const all = recent.size + older.size
    older = since_ms < 2 * limits.idle_ms ? recent : new Map()
    recent = new Map()
    turned_ms = now_ms
    return all - older.size
  }
  const turning = Effect.flatMap(Clock.currentTimeMillis, (now_ms) => {
    const gone = turn(now_ms)
    return gone === 0 ? Effect.void : countForgotten("registry", gone)
  })

  return {
    registry: Registry.of({
      connect: (clientId, pod, atLeast, by) =>
        Effect.andThen(
          turning,
          Effect.suspend((): Effect.Effect<Epoch, ClientInUse | RegistryUnavailable> =>
            Result.match(move(clientId, connectStep(pod, atLeast, by)), {
              onSuccess: (status) => Effect.succeed(status?.epoch ?? atLeast),
              onFailure: (cause) =>
                cause.reason === "in-use"
                  ? Effect.fail(new ClientInUse({ pod: find(clientId)?.pod ?? pod }))
                  : Effect.fail(new RegistryUnavailable({ operation: "connect", cause })),
            }),
          ),
        ),
      write: (presences) =>
        Effect.map(turning, () => presences.map((said) => Result.isSuccess(move(said.clientId, sweep(said))))),
      pods: (clientIds) => Effect.sync(() => clientIds.map((clientId) => holderOf(find(clientId)))),
      statuses: (clientIds) => Effect.sync(() => clientIds.map(find)),
      forget: (clientIds) =>
        Effect.sync(() =>
          clientIds.map((clientId) => {
            const isGone = holderOf(find(clientId)) === undefined
            if (isGone) for (const statuses of [recent, older]) statuses.delete(clientId)
            return isGone
          }),
        ),
      lease: (pod, ttl_ms) =>
        withNow((now_ms) => {
          forgetExpired(leases, now_ms)
          if (leases.has(pod)) return Effect.fail(new PodTaken({ pod }))
          leases.set(pod, now_ms + ttl_ms)
          return Effect.void
        }),
      renew: (pod, ttl_ms) => withNow((now_ms) => Effect.sync(() => void leases.set(pod, now_ms + ttl_ms))),
      release: (pod) => Effect.sync(() => void leases.delete(pod)),
      livePods: withNow((now_ms) =>
        Effect.sync(() => {
          forgetExpired(leases, now_ms)
          return [...leases.keys()]
        }),
      ),
      entries: Stream.suspend(() =>
        Stream.concat(Stream.fromIterable(entriesOf(older)), Stream.fromIterable(entriesOf(recent))),
      ),
    }),
    snapshot: () => ({ statuses: new Map([...older, ...recent]), leases: new Map(leases) }),
    restore: (snapshot) => {
      recent = new Map(snapshot.statuses)
      older = new Map()
      leases = new Map(snapshot.leases)
    },
    wipe: () => {
      recent = new Map()
      older = new Map()
      leases = new Map()
    },
  }
}

/** The step of a new connection. */
const connectStep = (pod: PodId, atLeast: Epoch, { gone, owner }: Partial<ConnectBy> = {}): Step => ({
  _tag: "Connect",
  pod,
  atLeast,
  ...(owner !== undefined && { owner }),
  ...(gone !== undefined && { gone }),
})

const sweep = ({ epoch, owner, pod, status }: Presence): Step => ({
  _tag: "Sweep",
  epoch,
  pod,
  status,
  ...(owner !== undefined && { owner }),
})

const holderOf = (status: Status | undefined): PodId | undefined =>
  status === undefined || status._tag === "OFFLINE" ? undefined : status.pod

const withNow = <A, E>(f: (now_ms: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Clock.currentTimeMillis, f)

const forgetExpired = (leases: Map<PodId, number>, now_ms: number): void => {
  for (const [pod, until_ms] of leases) if (until_ms <= now_ms) leases.delete(pod)
}

/** A part at a time: to drop the first key of a large map again and again would walk over its holes each time. */
const forgetOldest = (older: Map<ClientId, Status>, recent: Map<ClientId, Status>, limit: number): void => {
  const keep = limit - Math.floor(limit / 16)
  for (const statuses of [older, recent]) {
    for (const clientId of statuses.keys()) {
      if (older.size + recent.size <= keep) return
      statuses.delete(clientId)
    }
  }
}

function* entriesOf(statuses: ReadonlyMap<ClientId, Status>): Generator<Entry> {
  for (const [clientId, status] of statuses) yield { clientId, status }
}
