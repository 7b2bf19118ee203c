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
import type { MailboxUnavailable, OffsetsUnavailable } from "@nimbus/domain/errors"
import { JourneyRecorder, registerSize } from "@nimbus/domain/observability"
import { TokenBucket } from "@nimbus/domain/pacing"
import { type ClientId, type Cursor, type PodId, type PodMessage, partitionOf, Steps } from "@nimbus/domain/protocol"
import { claimMailboxes, eventBytes, EventLog, Mailbox, PodChannel, Topics } from "@nimbus/domain/services"
import { Cause, Clock, Context, Effect, FiberSet, Layer, LogLevel, References, Schedule, Stream } from "effect"
import { FramesTooLarge } from "../Errors.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import { Counts } from "../Metrics.ts"
import { Pod } from "../Pod.ts"
import type { ConnectRequest, SessionHandle } from "../Transport.ts"
import { makeAckSender } from "./AckSender.ts"
import type { Connection, Shared } from "./Connection.ts"
import { Draining } from "./Draining.ts"
import { makeIntake } from "./Intake.ts"
import { makeLateJourney } from "./LateJourney.ts"
import { makeOpening, type NotOpened } from "./Opening.ts"
import { keepLease, makePresences } from "./Presences.ts"
import { giveTo, makeReads, type Read } from "./Reads.ts"
import { makeHurry, makeSweep } from "./Sweep.ts"

export type { NotOpened } from "./Opening.ts"

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
  const mailbox = yield* Mailbox
  const run = yield* FiberSet.makeRuntime<never>()
  const counts = new Counts()
  const sessions = new Map<ClientId, Connection>()
  const draining = new Draining(limits)

  const event_bytes = eventBytes(log, yield* Topics)
  if (limits.frame_bytes > event_bytes)
    return yield* new FramesTooLarge({ frame_bytes: limits.frame_bytes, event_bytes })
  yield* claimMailboxes
  const hurry = makeHurry(() => sessions.size, limits)
  yield* keepLease(pod, limits, counts, hurry.begin)
  const pushes = yield* (yield* PodChannel).subscribe(pod)
  const barriers = { again: 0 }
  const shared = yield* makeShared(limits, counts, sessions, barriers)
  const read = yield* makeReads(limits, shared.now, ({ after, connection, limit }: Read) => {
    run(giveTo(connection, mailbox.page(connection.clientId, after, limit), counts))
  })
  yield* registerSize("delivery", {
    get size() {
      return { sessions: sessions.size, replaying: shared.replaying.size, held: shared.held.size }
    },
  })
  const opening = yield* makeOpening(limits, shared, read, draining)

  /** A bug met in one batch or tick is logged and counted; the sessions of all others must not stand still for it. */
  const survive = (part: string, effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.catchDefect(effect, (defect) => {
      counts.addTo("failed", part)
      return Effect.logError(`the delivery core failed to ${part}`, defect)
    })

  const receive = makeReceive(shared, log.partitions, draining)
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

  const sweep = makeSweep(sessions, shared.presences, mailbox, counts)
  const tick = Effect.suspend(() => {
    shared.journeys.advance(shared.now())
    shared.presences.tick()
    barriers.again = 0
    for (const connection of shared.replaying) connection.tick()
    for (const connection of shared.held) connection.mayRelease()
    draining.tick(sessions.values())
    return sweep(hurry.slice())
  })
  yield* survive("tick", tick).pipe(
    Effect.andThen(Effect.suspend(() => counts.flush())),
    Effect.repeat(Schedule.spaced(limits.tick_ms)),
    Effect.forkScoped,
  )

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const connection of sessions.values()) connection.goAway()
    }),
  )
  return Delivery.of({
    pod,
    counts,
    ...opening,
    size: () => sessions.size,
    draining,
    session: (clientId) => sessions.get(clientId)?.seenFromOutside,
    drained: Effect.asVoid(Effect.timeoutOption(shared.intake.idle, limits.drain_ms)),
  })
})

/** `barriers`: how many were published again in this tick. */
const makeShared = Effect.fnUntraced(function* (
  limits: GatewayLimits,
  counts: Counts,
  sessions: Shared["sessions"],
  barriers: { again: number },
) {
  const { id: pod } = yield* Pod
  const log = yield* EventLog
  const topics = yield* Topics
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const recorder = yield* JourneyRecorder.make({ service: "gateway", instance: pod })
  const isDebug = LogLevel.isLessThanOrEqualTo(yield* References.MinimumLogLevel, "Debug")
  const shared: Shared = {
    sessions,
    replaying: new Set(),
    held: new Set(),
    unanswered: limits,
    renewals: limits,
    ackSender: yield* makeAckSender(limits.trim_ms, counts),
    presences: yield* makePresences(
      (clientId, epoch) => {
        const connection = sessions.get(clientId)
        if (connection?.session.epoch === epoch) connection.superseded()
      },
      counts,
      limits.left_clients,
    ),
    intake: yield* makeIntake({
      topic: topics.events,
      partitions: log.partitions,
      intake_bytes: limits.intake_bytes,
      counts,
      counted: { accepted: "accepted", failed: "events" },
    }),
    journey: yield* makeLateJourney(recorder, limits.late_steps, counts),
    recorder,
    journeys: new TokenBucket(limits.journeys_per_second, 0),
    counts,
    incarnation: log.incarnation,
    debug: isDebug ? (connection, message) => void run(aboutSession(connection, Effect.logDebug(message))) : () => {},
    now: () => clock.currentTimeMillisUnsafe(),
    run: (effect) => void run(effect),
    failed: (part, defect) => {
      counts.addTo("failed", part)
      run(Effect.logError(`the delivery core failed to ${part}`, Cause.die(defect)))
    },
    steps: yield* Steps,
    mayRepeatBarrier: () => barriers.again++ < limits.barriers_again_per_tick,
  }
  return shared
})

/** A batch from the pod channel: every session takes what is its own, then carries out once. */
const makeReceive =
  ({ ackSender, sessions }: Shared, partitions: number, draining: Draining) =>
  (batch: ReadonlyArray<PodMessage>): void => {
    const touched = new Set<Connection>()
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
        ackSender.nack(partitionOf(message.clientId, partitions), message.clientId, message.route)
      }
    }
    for (const connection of touched) connection.carryOut()
  }

const aboutSession = ({ presence: { clientId, epoch } }: Connection, line: Effect.Effect<void>) =>
  Effect.annotateLogs(line, { clientId, epoch })
