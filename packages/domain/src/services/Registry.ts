/**
 * The registry: for each client its epoch, pod and status, and for each pod a lease. It is soft state, which may be
 * wiped or roll back at any time. Routing never reads it, and only gateways write it.
 *
 * Contract, checked by `registrySuite` of `@nimbus/domain/testing`: the entry of a client changes by
 * `Status.transition` only, one step at a time, under any concurrency. An entry without writes is forgotten after
 * `idle_ms` (`NIMBUS_IDLE_DAYS`) at the earliest, and within twice that time. Gateways write the entries of their
 * sessions periodically. A forgotten client is like one never seen, and its epochs keep growing by the clock.
 */
import { Context, type Effect, type Stream } from "effect"
import type { ClientInUse, PodTaken, RegistryUnavailable } from "../Errors.ts"
import type { ClientId, Epoch, Owner, PodId } from "../protocol/Ids.ts"
import type { Status, StatusName } from "../protocol/Status.ts"

/** What a gateway writes of one of its sessions. */
export interface Presence {
  readonly clientId: ClientId
  readonly epoch: Epoch
  readonly pod: PodId
  readonly status: StatusName
  /** Of whom, where there are locks. */
  readonly owner?: Owner | undefined
}

/** By whom a client connects, where there are locks. */
export interface ConnectBy {
  readonly owner: Owner
  /** A pod that is known to hold nobody any more. */
  readonly gone?: PodId | undefined
}

/** What the registry holds of one client. */
export interface Entry {
  readonly clientId: ClientId
  readonly status: Status
}

/** Holds the epoch, gateway and status of each client, and the leases of gateways. It may be wiped at any time. */
export class Registry extends Context.Service<
  Registry,
  {
    /**
     * A new connection: the client is REPLAYING at epoch max(stored + 1, `atLeast`), where `atLeast` is the clock in
     * ms. Where a session of another owner is not OFFLINE, it changes nothing and says where that is (`ClientInUse`), unless
     * that pod is `gone`: a lease is not looked at.
     */
    connect(
      clientId: ClientId,
      pod: PodId,
      atLeast: Epoch,
      by?: ConnectBy,
    ): Effect.Effect<Epoch, ClientInUse | RegistryUnavailable>
    /**
     * Writes a chunk; for each in order whether it held. One that did not changed nothing: that session is superseded.
     */
    write(presences: ReadonlyArray<Presence>): Effect.Effect<ReadonlyArray<boolean>, RegistryUnavailable>
    /**
     * The pod that holds each client, in the order asked; `undefined` for one that is OFFLINE or unknown. As stored: a
     * lease that has run out is not looked at, for what is sent to a dead pod is received by nobody.
     */
    pods(clientIds: ReadonlyArray<ClientId>): Effect.Effect<ReadonlyArray<PodId | undefined>, RegistryUnavailable>
    /** What is stored of each client, in the order asked; `undefined` for one never seen. A lease is not looked at. */
    statuses(clientIds: ReadonlyArray<ClientId>): Effect.Effect<ReadonlyArray<Status | undefined>, RegistryUnavailable>
    /**
     * Removes the entries of clients that are stored as OFFLINE; for each in order whether it has none now. One that is
     * not OFFLINE keeps its own. A client that comes back is as one after a wipe: its epoch is the clock's.
     */
    forget(clientIds: ReadonlyArray<ClientId>): Effect.Effect<ReadonlyArray<boolean>, RegistryUnavailable>
    /** Takes the lease of a pod, or says that a live pod holds it. */
    lease(pod: PodId, ttl_ms: number): Effect.Effect<void, PodTaken | RegistryUnavailable>
    /** Renews a lease that is ours, also one that has run out or was wiped. */
    renew(pod: PodId, ttl_ms: number): Effect.Effect<void, RegistryUnavailable>
    release(pod: PodId): Effect.Effect<void, RegistryUnavailable>
    /** Pods whose lease has not run out. */
    readonly livePods: Effect.Effect<ReadonlyArray<PodId>, RegistryUnavailable>
    /** All entries as stored, in no order; a client whose pod's lease is gone counts as OFFLINE (`Status.seenWith`). */
    readonly entries: Stream.Stream<Entry, RegistryUnavailable>
  }
>()("@nimbus/domain/Registry") {}
