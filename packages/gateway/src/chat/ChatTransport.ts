/**
 * The chat transport: a Socket.IO server at `/socket.io/` on the gateway's HTTP port.
 *
 * ```
 *   socket ── message ──▶ Intake ──▶ chats topic ──▶ PartitionReader, one per partition ──▶ the room's sockets here
 *                                         ▲                                             └─▶ the sender: its answer
 *                          other gateways and services
 *   socket in no room ── event:message ──▶ the same with a topic of its own ──▶ all sockets in no room, itself too
 *   socket ── broadcast ──▶ Socket.IO's adapter ──▶ every socket of every gateway
 * ```
 *
 * On shutdown it accepts no sockets and no messages, and waits (bounded) until the log has what it took. Then it
 * notifies its sockets and closes their connections. They reconnect to another gateway with their offsets.
 */
import { createHash } from "node:crypto"
import { Elapsed } from "@nimbus/domain/observability"
import { TokenBucket } from "@nimbus/domain/pacing"
import { type Incarnation, openLife, type RoomId } from "@nimbus/domain/protocol"
import { EventLog, RandomIds, Topics } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Layer, Metric, Schedule } from "effect"
import { Delivery } from "../delivery/Delivery.ts"
import { Limits } from "../Limits.ts"
import { chatSockets } from "../Metrics.ts"
import { FairReading } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import type { Badge } from "./Badge.ts"
import { makeCatchUp } from "./CatchUp.ts"
import type { ChatSocket } from "./ChatEvents.ts"
import type { ConnectRequest } from "./ConnectRequest.ts"
import { openDoor } from "./Door.ts"
import { server } from "./EngineServer.ts"
import { type Hall, type HallOptions, makeHall, retry_ms } from "./Hall.ts"
import { type KeptPlace, makeKeptPlaces } from "./KeptPlaces.ts"
import { infoOf, Member, type MemberOptions } from "./Member.ts"
import { OpenEvents } from "./OpenEvents.ts"
import { openOffsetOf } from "./OpenPosition.ts"
import { OutOfPlace } from "./OutOfPlace.ts"
import { type PartitionReader, liveRoom } from "./PartitionReader.ts"
import { markOf, offsetOf, positionAt } from "./Position.ts"
import { Receipts } from "./Receipts.ts"
import { makeTaking } from "./Taking.ts"

const make = Effect.gen(function* () {
  const { counts, draining } = yield* Delivery
  const limits = yield* Limits
  const log = yield* EventLog
  const { chats, messages } = yield* Topics
  const reading = yield* FairReading
  const ids = yield* RandomIds
  const events = yield* OpenEvents
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const { io, open: openTransport } = yield* server(reading)
  const keptPlaces = yield* makeKeptPlaces(limits.chat.save_ms, counts)
  const catchUp = yield* makeCatchUp(limits, counts)
  const members = new Map<string, Member>()
  const state = { isLeaving: false }

  const placeOf = (life: Incarnation, room: RoomId, offset: number) => positionAt(markOf(life, room), offset)
  const send: HallOptions["send"] = (hall, room, message, record, except) => {
    const live = io.local.to(liveRoom({ isOpen: hall.isOpen, room }))
    if (hall.isOpen) return void live.emit(events.listen, message.data)
    const others = except === undefined ? live : live.except(except.socket.id)
    others.emit("message", message.data, infoOf(message, record), placeOf(hall.life, room, record.offset))
  }
  const say: MemberOptions["say"] = ({ isOpen, mark, socket }, message, at) => {
    if (isOpen) return void socket.emit(events.listen, message.data)
    socket.emit("message", message.data, infoOf(message, at), positionAt(mark, at.offset))
  }
  const tell: HallOptions["tell"] = (hall, room, offset) =>
    void io.local.to(liveRoom({ isOpen: hall.isOpen, room })).emit("offset", placeOf(hall.life, room, offset))
  const bringUp = (member: Member): void => void run(catchUp(member, readerOf(member)))
  const memberOf = (id: string) => members.get(id)
  const shared = { limits, counts, send, tell, memberOf, catchUp: bringUp }
  const outOfPlace = new OutOfPlace({
    counts,
    give: (room, present, message, record) => {
      const conversation = rooms.conversation(room)
      const words = [message.data, infoOf(message, record)] as const
      const upTo = positionAt(conversation.mark, rooms.readerOf(conversation).position - 1)
      io.local.to(liveRoom({ isOpen: false, room })).emit("message", ...words, upTo)
      for (const { mark, next, socket, state } of present) {
        if (state !== "live") socket.emit("message", ...words, positionAt(mark, next - 1))
      }
    },
  })
  const rooms = yield* makeHall({
    ...shared,
    topic: chats,
    life: log.facts(chats).incarnation,
    isOpen: false,
    pass: (...args) => outOfPlace.take(...args),
  })
  const open =
    messages === undefined
      ? undefined
      : yield* makeHall({
          ...shared,
          topic: messages,
          life: openLife(log.facts(messages).incarnation),
          isOpen: true,
          pass: () => {},
        })
  const readers = [...rooms.readers, ...(open?.readers ?? [])]
  const hallOf = ({ isOpen }: { readonly isOpen: boolean }): Hall => (isOpen && open !== undefined ? open : rooms)
  const readerOf = (member: Member): PartitionReader => hallOf(member).readerOf(member.conversation)

  /**
   * Where a socket goes on: at its offset if that is one of this room and log; otherwise with as much history as it
   * asks for.
   */
  const place = Effect.fnUntraced(function* (
    member: Member,
    { history, offset: given }: ConnectRequest,
    kept: KeptPlace | undefined,
  ) {
    const { isOpen, mark } = member
    const reader = readerOf(member)
    const offset = isOpen ? openOffsetOf(mark, given, (text) => reader.find(text)) : offsetOf(mark, given)
    if (offset === "other") {
      member.refuse({ code: "AFTER_OTHER_LOG", message: "the offset belongs to another room or log and is ignored" })
    }
    if (offset === "unknown") {
      member.refuse({ code: "BAD_REQUEST", message: "the offset is none that was given here, and is ignored" })
    }
    if (history === undefined) {
      member.refuse({ code: "BAD_REQUEST", message: "history is to be a number of messages or true, and is ignored" })
    }
    const next = typeof offset === "number" ? offset + 1 : kept && (yield* kept.load)
    if (next !== undefined) {
      const end = next <= reader.end ? reader.end : yield* log.end(reader.topic, reader.partition)
      member.next = next
      if (next <= end) return
      member.refuse({ code: "AFTER_BEYOND_END", message: "the offset is beyond the log's end and is ignored" })
    }
    // A client whose offset is ignored has asked for what came after it.
    const most = limits.chat.history_messages
    const asked = offset === undefined && next === undefined ? (history ?? 0) : isOpen ? 0 : most
    member.newest = Math.min(asked, most)
    member.next = reader.end
  })

  const onFull = (member: Member): void => {
    counts.add("chatBehind", 1)
    readerOf(member).leave(member, "behind")
    bringUp(member)
  }

  /** What has certainly arrived is kept. */
  const keepPlace = (member: Member, kept: KeptPlace): void => {
    const position = () => (member.state === "live" ? readerOf(member).position : member.next)
    const receipts: Receipts = new Receipts(member.socket, position, () => kept.save(receipts.arrived))
  }

  const welcome = (socket: ChatSocket, connectRequest: ConnectRequest, badge: Badge | undefined): void => {
    const hall = hallOf(connectRequest)
    const { clientId, room } = connectRequest
    const conversation = hall.conversation(room)
    const author = authorOf(clientId, socket.data.pid, badge?.owner)
    const member = new Member({ socket, conversation, author, badge, limits, counts, say, onFull })
    const denied = asksForPast(connectRequest) ? badge?.deniesOf("room:history") : undefined
    if (denied !== undefined) member.refuse(denied)
    const kept =
      clientId === undefined || denied !== undefined ? undefined : keptPlaces.of(conversation, clientId, badge?.owner)
    if (kept !== undefined) keepPlace(member, kept)
    members.set(socket.id, member)
    if (!hall.isOpen) outOfPlace.join(member)
    hall.intake.join(room, member)
    const bucket = new TokenBucket(limits.chat.messages_per_second, Elapsed.msUnsafe(clock))
    const sending = hall.isOpen ? events.send : "message"
    socket.on(sending, (...args) => taking.message(member, bucket, args))
    socket.on("broadcast", (...args) => taking.broadcast(member, bucket, args))
    if (badge !== undefined) socket.on("auth", (...args) => taking.auth(member, badge, bucket, args))
    const taken = new Set<string>([sending, "broadcast", ...(badge === undefined ? [] : ["auth"])])
    socket.onAny((name: string, ...args: ReadonlyArray<unknown>) => {
      if (!taken.has(name)) taking.unknown(bucket, args)
    })
    socket.on("disconnect", () => {
      badge?.release()
      members.delete(socket.id)
      outOfPlace.leave(member)
      hall.intake.leave(room, member)
      readerOf(member).leave(member, "gone")
      member.room_left.openUnsafe()
    })
    run(
      place(member, denied === undefined ? connectRequest : { ...connectRequest, ...noPast }, kept).pipe(
        Effect.retry({ while: ({ _tag }) => _tag !== "UnknownTopic", schedule: Schedule.spaced(retry_ms) }),
        Effect.orDie,
        Effect.andThen(Effect.suspend(() => catchUp(member, readerOf(member)))),
      ),
    )
  }

  const taking = makeTaking({ limits, counts, ids, clock, io, run, hallOf, isLeaving: () => state.isLeaving })

  yield* openDoor({ io, mayBeOpen: open !== undefined, isLeaving: () => state.isLeaving, welcome })
  // Not before: a socket that nobody welcomes would wait for ever.
  yield* openTransport
  yield* Effect.suspend(() => {
    for (const reader of readers) reader.tellOffsets()
    return Metric.update(chatSockets, members.size)
  }).pipe(Effect.repeat(Schedule.spaced(limits.chat.offset_every_ms)), Effect.forkScoped)

  const stopTaking = Effect.suspend(() => {
    state.isLeaving = true
    // What had been brought is refused as it is read. What has no answer by then may be in the log or not.
    const isAnswered = () => reading.waiting === 0 && [...members.values()].every(({ waiting }) => waiting === 0)
    return Effect.timeoutOption(untilTrue(isAnswered), limits.drain_ms)
  })
  const sendAway = ({ socket }: Member): void => {
    socket.emit("leaving", { code: "GOING_AWAY" })
    // Closed from below: a socket that is disconnected by the server does not come back automatically.
    socket.conn.close()
  }
  yield* draining.begun.pipe(
    Effect.andThen(stopTaking),
    Effect.andThen(Effect.suspend(() => inSlices([...members.values()], limits, sendAway))),
    Effect.forkScoped,
  )
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      yield* stopTaking
      for (const member of members.values()) sendAway(member)
      yield* Effect.timeoutOption(
        untilTrue(() => io.engine.clientsCount === 0),
        limits.close_ms,
      )
    }),
  )
})

/** What came before the connection: `room:history`. */
const asksForPast = ({ clientId, history, offset }: ConnectRequest): boolean =>
  clientId !== undefined || history !== 0 || (offset !== undefined && offset !== null)
const noPast = { offset: undefined, history: 0 }

/**
 * A client is known again by the name that it has given itself, or by the one that its library was given and keeps. Where
 * there are locks it is one of its subject.
 */
const authorOf = (clientId: string | undefined, pid: string | undefined, subject?: ReadonlyArray<string>): string =>
  createHash("sha256")
    .update(JSON.stringify({ clientId, pid: clientId ?? pid, subject }))
    .digest("base64url")
    .slice(0, 22)

/** One after the other, spread over `drain_ms`. */
const inSlices = <A>(all: ReadonlyArray<A>, { drain_ms }: { readonly drain_ms: number }, each: (one: A) => void) =>
  Effect.forEach(
    all,
    (one) =>
      Effect.andThen(
        Effect.sync(() => each(one)),
        Effect.sleep(drain_ms / all.length),
      ),
    {
      discard: true,
    },
  )

const untilTrue = (isTrue: () => boolean) =>
  Effect.suspend(() => (isTrue() ? Effect.succeed(true) : Effect.as(Effect.sleep("5 millis"), false))).pipe(
    Effect.repeat({ until: (isDone) => isDone }),
  )

export const layer = Layer.effectDiscard(make).pipe(Layer.provide(Timers.layer))
