/**
 * The delivery core of a gateway, behind all of its transports: it holds the sessions, feeds them pushes, pages and
 * ticks, and carries out what they decide. No connection has a fiber or a timer of its own.
 *
 * ```
 *   transport ── open, event, ack ──▶ Connection ──▶ Intake ──▶ events topic
 *     ▲                                  │  ▲  ▲
 *     └── deliver, notify, close ────────┘  │  └── pushes, Mail: PodChannel
 *                                           └───── pages: Mailbox    AckSender ──▶ AckChannel, Mailbox
 * ```
 */
import { TokenBucket } from "@nimbus/domain/pacing"
import type { LogError, MailboxUnavailable, OffsetsUnavailable, RegistryUnavailable } from "@nimbus/domain/errors"
import type { SessionLimits } from "@nimbus/domain/limits"
import { JourneyRecorder, registerSize } from "@nimbus/domain/observability"
import {
  type ClientId,
  type Cursor,
  type Epoch,
  PodEpochs,
  type PodId,
  type PodMessage,
  partitionOf,
  Session,
  start,
  Steps,
} from "@nimbus/domain/protocol"
import { claimMailboxes, eventBytes, EventLog, Mailbox, PodChannel, Registry, Topics } from "@nimbus/domain/services"
import {
  Cause,
  Clock,
  Context,
  Effect,
  FiberSet,
  Layer,
  LogLevel,
  References,
  Schedule,
  Scheduler,
  Stream,
} from "effect"
import type { SessionHandle, ConnectRequest } from "../Transport.ts"
import { ConnectionGone, FramesTooLarge, GatewayDraining, type OpeningSuperseded } from "../Errors.ts"
import { EventLoopTurns } from "../sockets/EventLoopTurns.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import { Counts } from "../Metrics.ts"
import { Pod } from "../Pod.ts"
import { Connection, type Shared } from "./Connection.ts"
import { Draining } from "./Draining.ts"
import { makeDirect } from "./direct/Direct.ts"
import { makeIntake } from "./Intake.ts"
import { makeLateJourney } from "./LateJourney.ts"
import { makeConnectRateLimiter } from "./ConnectRateLimiter.ts"
import { makeAckSender } from "./AckSender.ts"
import { keepLease, makePresences } from "./Presences.ts"
import { makeReads, type Read } from "./Reads.ts"
import type { Resident, ResidentShared } from "./Resident.ts"
import { makeSweep } from "./Sweep.ts"

export type NotOpened = RegistryUnavailable | LogError | GatewayDraining | OpeningSuperseded | ConnectionGone

/** The delivery core of a gateway: opens sessions for connections of any transport, and sends each what is due. */
export class Delivery extends Context.Service<
  Delivery,
  {
    readonly pod: PodId
    /** What this gateway counts; transports add what they refuse. */
    readonly counts: Counts
    /**
     * Opens a session, once it is the client's turn. An older one of the same client here is closed as superseded;
     * elsewhere the sweep finds it. What fails is counted.
     */
    open(request: ConnectRequest): Effect.Effect<SessionHandle, NotOpened>
    /** The same for direct delivery. */
    openDirect(
      request: ConnectRequest,
    ): Effect.Effect<SessionHandle, NotOpened | MailboxUnavailable | OffsetsUnavailable>
    /** Connections with a session now. */
    readonly size: () => number
    /**
     * Whether this gateway is told to send its clients away, and when. Transports that have no sessions here do it
     * themselves.
     */
    readonly draining: Pick<Draining, "isDraining" | "begun">
    /** What is known of the client's session here. */
    session(
      clientId: ClientId,
    ): { readonly door: string; readonly upTo: Cursor; readonly acknowledged: Cursor } | undefined
    /**
     * For a transport that leaves and reads nothing more: done once the log has everything that any transport took, or
     * after `drain_ms`. What was not accepted by then, clients send again.
     */
    readonly drained: Effect.Effect<void>
  }
>()("@nimbus/gateway/Delivery") {
  static readonly layer = Layer.effect(
    Delivery,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const limits = yield* Limits
  const { id: pod } = yield* Pod
  const log = yield* EventLog
  const topics = yield* Topics
  const registry = yield* Registry
  const mailbox = yield* Mailbox
  const channel = yield* PodChannel
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const counts = new Counts()
  const isDebug = LogLevel.isLessThanOrEqualTo(yield* References.MinimumLogLevel, "Debug")
  const sessions = new Map<ClientId, Resident>()
  const draining = new Draining(limits)

  const event_bytes = eventBytes(log, topics)
  if (limits.frame_bytes > event_bytes)
    return yield* new FramesTooLarge({ frame_bytes: limits.frame_bytes, event_bytes })
  yield* claimMailboxes
  const hurry = makeHurry(() => sessions.size, limits)
  yield* keepLease(pod, limits, counts, hurry.begin)
  const pushes = yield* channel.subscribe(pod)
  const ackSender = yield* makeAckSender(limits.trim_ms, counts)
  const presences = yield* makePresences((clientId, epoch) => {
    const connection = sessions.get(clientId)
    if (connection?.session.epoch === epoch) connection.superseded()
  }, counts)
  const recorder = yield* JourneyRecorder.make({ service: "gateway", instance: pod })
  let barriersAgain = 0
  const residents: ResidentShared = {
    intake: yield* makeIntake({
      topic: topics.events,
      partitions: log.partitions,
      intake_bytes: limits.intake_bytes,
      counts,
      counted: { accepted: "accepted", failed: "events" },
    }),
    ackSender,
    presences,
    journey: yield* makeLateJourney(recorder, limits.late_steps, counts),
    recorder,
    journeys: new TokenBucket(limits.journeys_per_second, 0),
    counts,
    incarnation: log.incarnation,
    debug: isDebug ? (connection, message) => void run(aboutSession(connection, Effect.logDebug(message))) : () => {},
    now: () => clock.currentTimeMillisUnsafe(),
    failed: (part, defect) => {
      counts.addTo("failed", part)
      run(Effect.logError(`the delivery core failed to ${part}`, Cause.die(defect)))
    },
    steps: yield* Steps,
    replaying: new Set(),
    remove: (connection) => {
      if (sessions.get(connection.clientId) !== connection) return
      sessions.delete(connection.clientId)
      counts.session(connection.transportName, -1)
      residents.journey.closed(connection.clientId)
    },
  }
  const shared: Shared = {
    ...residents,
    mayRepeatBarrier: () => barriersAgain++ < limits.barriers_again_per_tick,
    read: yield* makeReads(limits, residents.now, ({ after, connection, limit }: Read<Connection>) => {
      run(
        Effect.match(mailbox.page(connection.clientId, after, limit), {
          onSuccess: (page) => connection.step({ _tag: "Page", page }),
          onFailure: () => {
            counts.addTo("failed", "read mailbox")
            connection.step({ _tag: "PageFailed" })
          },
        }).pipe(Effect.andThen(Effect.sync(() => connection.carryOut()))),
      )
    }),
  }

  yield* registerSize("delivery", {
    get size() {
      return { sessions: sessions.size, replaying: shared.replaying.size }
    },
  })
  const direct = yield* makeDirect(limits, residents)

  /** A bug met in one batch or tick is logged and counted; the sessions of all others must not stand still for it. */
  const survive = (part: string, effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.catchDefect(effect, (defect) => {
      counts.addTo("failed", part)
      return Effect.logError(`the delivery core failed to ${part}`, defect)
    })

  /** A batch from the pod channel: every session takes what is its own, then carries out once. */
  const receive = (batch: ReadonlyArray<PodMessage>): void => {
    const touched = new Set<Resident>()
    for (const message of batch) {
      if (message._tag === "Drain") {
        draining.begin(sessions.size)
        continue
      }
      const connection = sessions.get(message.clientId)
      if (connection !== undefined) touched.add(connection)
      if (message._tag === "Mail") connection?.mail()
      else if (message._tag === "Kick") connection?.kick()
      else if (connection?.push(message) !== true) {
        ackSender.nack(partitionOf(message.clientId, log.partitions), message.clientId, message.route)
      }
    }
    for (const connection of touched) connection.carryOut()
  }
  // A channel that fails loses datagrams, which it may at any time; it is subscribed again by its own layer.
  yield* Stream.runForEach(pushes, (batch) =>
    survive(
      "receive",
      Effect.sync(() => receive(batch)),
    ),
  ).pipe(
    Effect.tapError((error) => Effect.logError("the pod's channel has failed", error)),
    Effect.orDie,
    Effect.forkScoped,
  )

  const sweep = makeSweep(sessions, presences, mailbox, counts)
  let ticked_ms = shared.now()
  const tick = Effect.suspend(() => {
    ticked_ms = shared.now()
    shared.journeys.advance(ticked_ms)
    barriersAgain = 0
    for (const connection of shared.replaying) connection.tick()
    draining.tick(sessions.values())
    return sweep(hurry.slice())
  })
  yield* survive("tick", tick).pipe(
    Effect.andThen(Effect.suspend(() => counts.flush())),
    Effect.repeat(Schedule.spaced(limits.tick_ms)),
    Effect.forkScoped,
  )

  const turn = makeConnectRateLimiter(limits, shared.now)
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  const turns = new EventLoopTurns(limits.openings_per_turn, (act) => dispatcher.scheduleTask(act, 0))
  /** Among those of all clients. */
  const gatewayTurn = Effect.callback<void>((resume) => {
    const giveUp = turns.take(() => resume(Effect.void))
    return Effect.sync(giveUp)
  })
  const epochs = new PodEpochs()
  /** Asks again as long as others that connected meanwhile make the answer one that this pod may have used. */
  const connect = (clientId: ClientId): Effect.Effect<Epoch, RegistryUnavailable> =>
    Effect.suspend(() => {
      const asked = epochs.ask(shared.now())
      return Effect.flatMap(registry.connect(clientId, pod, asked), (epoch) =>
        epochs.take(asked, epoch) ? Effect.succeed(epoch) : connect(clientId),
      )
    })

  /** A client's `after` counts only if it is of this log: of this incarnation, and before its end. */
  const checkAfter = Effect.fnUntraced(function* ({ after, clientId, transport, log: of }: ConnectRequest) {
    if (after === start) return after
    if (of !== undefined && of !== log.incarnation) {
      transport.notify({
        _tag: "Error",
        code: "AFTER_OTHER_LOG",
        message: "`after` belongs to another log and is ignored",
      })
      return start
    }
    if (after < (yield* log.end(topics.events, partitionOf(clientId, log.partitions)))) return after
    transport.notify({
      _tag: "Error",
      code: "AFTER_BEYOND_END",
      message: "`after` is beyond the log's end and is ignored",
    })
    return start
  })

  const arrive = Effect.fnUntraced(function* (request: ConnectRequest) {
    const { clientId, transport } = request
    yield* turn(clientId)
    yield* gatewayTurn
    if (draining.isDraining) return yield* new GatewayDraining()
    if (transport.isGone) return yield* new ConnectionGone()
    const after = yield* checkAfter(request)
    const epoch = yield* connect(clientId)
    // The registry may answer two that came at the same time in the other order: the newer one stays.
    const before = sessions.get(clientId)
    if (before !== undefined && before.session.epoch < epoch) before.superseded()
    // What the client acknowledged to its last session must not come again, with or without a memory of its own.
    yield* ackSender.trimNow(clientId)
    return { clientId, epoch, pod, after, transport, limits: sessionLimitsOf(request, limits) }
  })

  /** Of two that came at the same time the newer one stays. */
  const settle = (connection: Resident): Resident => {
    const other = sessions.get(connection.clientId)
    if (other !== undefined && other.session.epoch > connection.session.epoch) connection.superseded()
    else {
      other?.superseded()
      sessions.set(connection.clientId, connection)
      counts.session(connection.transportName, 1)
      shared.intake.join(connection.clientId, connection)
      connection.step({ _tag: "Open" })
      connection.carryOut()
    }
    return connection
  }

  const notOpened = ({ _tag }: NotOpened | MailboxUnavailable | OffsetsUnavailable) =>
    Effect.sync(() => {
      if (_tag === "OpeningSuperseded") counts.add("superseded", 1)
      // A client that has disconnected is no failure.
      else if (_tag !== "ConnectionGone") counts.addTo("failed", _tag)
    })

  const open = Effect.fnUntraced(function* (request: ConnectRequest) {
    const arrival = yield* arrive(request)
    const session = Session.make(arrival)
    const partition = partitionOf(arrival.clientId, log.partitions)
    return settle(new Connection(session, partition, arrival.transport, shared))
  }, Effect.tapError(notOpened))

  const openDirect = Effect.fnUntraced(function* (request: ConnectRequest) {
    return settle(yield* direct.open(yield* arrive(request)))
  }, Effect.tapError(notOpened))

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const connection of sessions.values()) connection.goAway()
    }),
  )
  const drained = Effect.asVoid(Effect.timeoutOption(shared.intake.idle, limits.drain_ms))
  return Delivery.of({
    pod,
    counts,
    open,
    openDirect,
    size: () => sessions.size,
    draining,
    session: (clientId) => sessions.get(clientId)?.seenFromOutside,
    drained,
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

const aboutSession = ({ presence: { clientId, epoch } }: Resident, line: Effect.Effect<void>) =>
  Effect.annotateLogs(line, { clientId, epoch })

/**
 * How many sessions a tick sweeps: all within `sweep_ms`. After a loss twice all, each time within
 * `sweep_after_loss_ms`: the second time finds what came into a mailbox before the first had told the registry whose it
 * is.
 */
const makeHurry = (size: () => number, { sweep_after_loss_ms, sweep_ms, tick_ms }: GatewayLimits) => {
  let left = 0
  return {
    begin(): void {
      left = 2 * size()
    },
    slice(): number {
      const usual = Math.ceil((size() * tick_ms) / sweep_ms)
      const hurried = Math.min(left, Math.ceil((size() * tick_ms) / sweep_after_loss_ms))
      left -= hurried
      return Math.max(usual, hurried)
    },
  }
}
