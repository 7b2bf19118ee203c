/**
 * How a connection gets a session: it waits for the turn of its client and of the gateway, the registry gives it an epoch,
 * and older sessions of the client at this gateway end.
 */
import {
  ClientInUse,
  type LogError,
  type MailboxUnavailable,
  type OffsetsUnavailable,
  type RegistryUnavailable,
} from "@nimbus/domain/errors"
import type { SessionLimits } from "@nimbus/domain/limits"
import {
  type ClientId,
  type Epoch,
  type Owner,
  partitionOf,
  PodEpochs,
  PodId,
  Session,
  start,
} from "@nimbus/domain/protocol"
import { type ClientOffsets, type ConnectBy, EventLog, type Mailbox, Registry, Topics } from "@nimbus/domain/services"
import { Effect, Scheduler, type Scope } from "effect"
import { capabilityOf } from "@nimbus/domain/access"
import { Access } from "../access/Access.ts"
import type { Standing } from "../access/Standing.ts"
import { ConnectionGone, GatewayDraining, type OpeningSuperseded, type SubjectRefused } from "../Errors.ts"
import type { GatewayLimits } from "../Limits.ts"
import { Pod } from "../Pod.ts"
import { messageOf, type Share, Subjects } from "../subjects/Subjects.ts"
import { EventLoopTurns } from "../sockets/EventLoopTurns.ts"
import type { Within } from "../sockets/Throttle.ts"
import type { ConnectRequest, SessionHandle } from "../Transport.ts"
import { makeConnectRateLimiter } from "./ConnectRateLimiter.ts"
import { Connection, type Direct, type Routed, type Shared } from "./Connection.ts"
import { type Arrival, makeDirect } from "./direct/Direct.ts"
import type { Draining } from "./Draining.ts"

export type NotOpened =
  | RegistryUnavailable
  | LogError
  | GatewayDraining
  | OpeningSuperseded
  | ConnectionGone
  | SubjectRefused
  /** Told to the client, and counted, by its transport. */
  | ClientInUse

type Arrived = Arrival & { readonly standing: Standing }

export interface Opening {
  readonly open: (request: ConnectRequest) => Effect.Effect<SessionHandle, NotOpened>
  readonly openDirect: (
    request: ConnectRequest,
  ) => Effect.Effect<SessionHandle, NotOpened | MailboxUnavailable | OffsetsUnavailable>
}

/** `read`: of routed delivery. */
export const makeOpening = Effect.fnUntraced(function* (
  limits: GatewayLimits,
  shared: Shared,
  read: Routed["read"],
  draining: Draining,
): Effect.fn.Return<
  Opening,
  never,
  Access | ClientOffsets | EventLog | Mailbox | Pod | Registry | Subjects | Topics | Scope.Scope
> {
  const { ackSender, counts, intake, sessions } = shared
  const access = yield* Access
  const subjects = yield* Subjects
  const { id: pod } = yield* Pod
  const { partitions } = yield* EventLog
  const turn = yield* makeTurns(limits, shared.now)
  const checkAfter = yield* makeCheckAfter
  const holders = new Holders(sessions)
  const connect = yield* makeConnect(shared.now, holders)
  const beginDirect = yield* makeDirect(limits, shared)

  const arrive = Effect.fnUntraced(function* (request: ConnectRequest) {
    const { address, autoAck = false, clientId, principal, transport } = request
    const asked = { clientId, principal, autoAck, reads: true }
    const from = { address, transport: transport.name }
    const standing = access.stand(asked, from)
    const { owner } = standing
    if (holders.isOther(clientId, owner)) return yield* new ClientInUse({ pod })
    yield* turn(clientId, owner)
    if (holders.isOther(clientId, owner)) return yield* new ClientInUse({ pod })
    if (owner !== undefined) yield* holders.opens(clientId, owner)
    if (draining.isDraining) return yield* new GatewayDraining()
    if (transport.isGone) return yield* new ConnectionGone()
    const after = yield* checkAfter(request)
    const epoch = yield* connect(clientId, owner)
    // The registry may answer two that came at the same time in the other order: the newer one stays.
    const before = sessions.get(clientId)
    if (before !== undefined && before.session.epoch < epoch) before.superseded()
    // What the client acknowledged to its last session must not come again, with or without a memory of its own.
    yield* ackSender.trimNow(clientId)
    const partition = partitionOf(clientId, partitions)
    return { clientId, partition, epoch, pod, after, limits: sessionLimitsOf(request, limits), standing }
  })

  /** Of two that came at the same time the newer one stays. */
  const settle = (
    core: Routed | Direct,
    { partition, standing }: Arrived,
    { transport }: ConnectRequest,
    share: Share,
  ): Connection => {
    const connection = new Connection(core, partition, transport, { standing, share }, shared)
    const other = sessions.get(connection.clientId)
    if (other !== undefined && other.session.epoch > connection.session.epoch) connection.superseded()
    else {
      other?.superseded()
      sessions.set(connection.clientId, connection)
      counts.session(connection.transportName, 1)
      intake.join(connection.clientId, connection)
      connection.open()
    }
    return connection
  }

  const notOpened = (
    { _tag }: NotOpened | MailboxUnavailable | OffsetsUnavailable,
    { address, clientId, principal, transport }: ConnectRequest,
  ) =>
    Effect.sync(() => {
      if (_tag === "OpeningSuperseded") counts.add("superseded", 1)
      else if (_tag === "ClientInUse") {
        const from = { address, transport: transport.name }
        access.tell(principal, from, "refused", "CLIENT_IN_USE", capabilityOf("connect", clientId))
      }
      // A client that has disconnected is no failure, and one that is refused is told why.
      else if (_tag !== "ConnectionGone" && _tag !== "SubjectRefused") counts.addTo("failed", _tag)
    })
  const opening = <A, E extends NotOpened | MailboxUnavailable | OffsetsUnavailable>(
    opens: Effect.Effect<A, E, Scope.Scope>,
    request: ConnectRequest,
  ): Effect.Effect<A, E> => Effect.tapError(Effect.scoped(opens), (error) => notOpened(error, request))

  /** With the share of its subject, which is taken before anything else, and given back where there is no session. */
  const withShare = <E, R>(request: ConnectRequest, begin: (share: Share) => Effect.Effect<SessionHandle, E, R>) => {
    const { address, clientId, principal, transport } = request
    const replaces = sessions.has(clientId)
    return Effect.flatMap(
      subjects.connect(principal, clientId, { address, transport: transport.name }, { replaces }),
      (share) => {
        if (!access.isOpen) transport.limit(withinOf(share, transport, limits.subject))
        return Effect.onError(begin(share), () => Effect.sync(share.close))
      },
    )
  }

  const beginRouted = Effect.fnUntraced(function* (request: ConnectRequest, share: Share) {
    const arrival = yield* arrive(request)
    return settle({ _tag: "Routed", session: Session.make(arrival), outputs: [], read }, arrival, request, share)
  })
  const beginFollowing = Effect.fnUntraced(function* (request: ConnectRequest, share: Share) {
    const arrival = yield* arrive(request)
    return settle(yield* beginDirect(arrival), arrival, request, share)
  })

  return {
    open: (request) =>
      opening(
        Effect.suspend(() => withShare(request, (share) => beginRouted(request, share))),
        request,
      ),
    openDirect: (request) =>
      opening(
        Effect.suspend(() => withShare(request, (share) => beginFollowing(request, share))),
        request,
      ),
  }
})

/** What the transport of a connection is told of its share. */
const withinOf = (
  share: Share,
  transport: ConnectRequest["transport"],
  { told_every_ms }: GatewayLimits["subject"],
): Within => ({
  share,
  told_every_ms,
  tell: (slowed) => transport.notify({ _tag: "Error", ...slowed, message: messageOf(slowed) }),
})

/** First among the openings of one client, then among those of all. */
const makeTurns = Effect.fnUntraced(function* (limits: GatewayLimits, now: () => number) {
  const clientTurn = makeConnectRateLimiter(limits, now)
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  const turns = new EventLoopTurns(limits.openings_per_turn, (act) => dispatcher.scheduleTask(act, 0))
  const gatewayTurn = Effect.callback<void>((resume) => {
    const giveUp = turns.take(() => resume(Effect.void))
    return Effect.sync(giveUp)
  })
  /** Those of another owner wait for each other, and take over nobody's turn. */
  return (clientId: ClientId, owner: Owner | undefined) =>
    Effect.andThen(clientTurn(owner === undefined ? clientId : `${clientId} ${owner}`), gatewayTurn)
})

/**
 * Who holds each client at this gateway: those with a session, and those whose session is being opened. The registry
 * decides between gateways; here nobody gets past it when it has lost what it knew.
 */
class Holders {
  readonly #sessions: ReadonlyMap<ClientId, Connection>
  readonly #opening = new Map<ClientId, { readonly owner: Owner; count: number }>()

  constructor(sessions: ReadonlyMap<ClientId, Connection>) {
    this.#sessions = sessions
  }

  /** Whether it is another owner's. */
  isOther(clientId: ClientId, owner: Owner | undefined): boolean {
    if (owner === undefined) return false
    const held = this.#sessions.get(clientId)?.owner ?? this.#opening.get(clientId)?.owner
    return held !== undefined && held !== owner
  }

  /** It is opened from here on, for as long as the scope lives. */
  opens(clientId: ClientId, owner: Owner): Effect.Effect<void, never, Scope.Scope> {
    const begin = Effect.sync(() => {
      const before = this.#opening.get(clientId)
      if (before === undefined) this.#opening.set(clientId, { owner, count: 1 })
      else before.count++
    })
    return Effect.acquireRelease(begin, () =>
      Effect.sync(() => {
        const before = this.#opening.get(clientId)
        if (before !== undefined && --before.count === 0) this.#opening.delete(clientId)
      }),
    )
  }
}

/**
 * Asks again as long as others that connected meanwhile make the answer one that this pod may have used. Where another
 * owner's session is said to be at a pod that is gone, or here where there is none, it asks once more with that known.
 */
const makeConnect = Effect.fnUntraced(function* (now: () => number, holders: Holders) {
  const registry = yield* Registry
  const { id: pod } = yield* Pod
  const epochs = new PodEpochs()
  const connect = (clientId: ClientId, by?: ConnectBy): Effect.Effect<Epoch, ClientInUse | RegistryUnavailable> =>
    Effect.suspend(() => {
      const asked = epochs.ask(now())
      return Effect.flatMap(registry.connect(clientId, pod, asked, by), (epoch) =>
        epochs.take(asked, epoch) ? Effect.succeed(epoch) : connect(clientId, by),
      )
    })
  const isGone = (clientId: ClientId, owner: Owner, at: string) =>
    at === pod
      ? Effect.sync(() => !holders.isOther(clientId, owner))
      : Effect.map(registry.livePods, (pods) => !pods.some((live) => live === at))
  return (clientId: ClientId, owner: Owner | undefined) =>
    owner === undefined
      ? connect(clientId)
      : Effect.catchTag(connect(clientId, { owner }), "ClientInUse", (error) =>
          Effect.flatMap(isGone(clientId, owner, error.pod), (isGone) =>
            isGone ? connect(clientId, { owner, gone: PodId.make(error.pod) }) : Effect.fail(error),
          ),
        )
})

/** A client's `after` counts only if it is of this log: of this incarnation, and before its end. */
const makeCheckAfter = Effect.gen(function* () {
  const log = yield* EventLog
  const { events } = yield* Topics
  return Effect.fnUntraced(function* ({ after, clientId, transport, log: of }: ConnectRequest) {
    if (after === start) return after
    if (of !== undefined && of !== log.incarnation) {
      transport.notify({
        _tag: "Error",
        code: "AFTER_OTHER_LOG",
        message: "`after` belongs to another log and is ignored",
      })
      return start
    }
    if (after < (yield* log.end(events, partitionOf(clientId, log.partitions)))) return after
    transport.notify({
      _tag: "Error",
      code: "AFTER_BEYOND_END",
      message: "`after` is beyond the log's end and is ignored",
    })
    return start
  })
})

/** Acks that are held back must not stop what is sent meanwhile. */
const sessionLimitsOf = ({ autoAck = false }: ConnectRequest, { auto_ack, session }: GatewayLimits): SessionLimits => {
  if (!autoAck) return session
  return {
    ...session,
    window_results: Math.max(session.window_results, auto_ack.window_results),
    window_bytes: Math.max(session.window_bytes, auto_ack.window_bytes),
  }
}
