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
import { TokenBucket } from "@nimbus/domain/pacing"
import { createHash } from "node:crypto"
import { Elapsed } from "@nimbus/domain/observability"
import { ChatMessageId, encodeChat, type Incarnation, openLife, type RoomId } from "@nimbus/domain/protocol"
import { EventLog, RandomIds, Topics } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Layer, Metric, Random, Result, Schedule } from "effect"
import type { Principal } from "@nimbus/domain/access"
import { Access, type From } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { FairReading } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { Limits } from "../Limits.ts"
import { chatSockets } from "../Metrics.ts"
import { admit, Badge, connectErrorOf, refusalOf } from "./Badge.ts"
import { makeCatchUp } from "./CatchUp.ts"
import { path, server } from "./EngineServer.ts"
import { type Hall, type HallOptions, makeHall, retry_ms } from "./Hall.ts"
import { type ConnectRequest, connectRequestOf, credentialsOf, isMisnamed, tokenIn } from "./ConnectRequest.ts"
import { answerOf, incomingOf } from "./Incoming.ts"
import { type KeptPlace, makeKeptPlaces } from "./KeptPlaces.ts"
import { type PartitionReader, liveRoom } from "./PartitionReader.ts"
import { infoOf, Member, type MemberOptions } from "./Member.ts"
import { OpenEvents } from "./OpenEvents.ts"
import { isPlace, openOffsetOf } from "./OpenPosition.ts"
import { OutOfPlace } from "./OutOfPlace.ts"
import { markOf, offsetOf, positionAt } from "./Position.ts"
import { Receipts } from "./Receipts.ts"
import type { Answer, ChatSocket, Refusal } from "./ChatEvents.ts"

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
  const access = yield* Access
  /** Where there are locks: who they are that have not been welcomed yet. */
  const admitted = new WeakMap<ChatSocket, { readonly principal: Principal; readonly from: From }>()
  const now_s = () => clock.currentTimeMillisUnsafe() / 1000
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
    socket.on(sending, (...args) => takeMessage(member, bucket, args))
    socket.on("broadcast", (...args) => takeBroadcast(member, bucket, args))
    if (badge !== undefined) socket.on("auth", (...args) => takeAuth(member, badge, bucket, args))
    const taken = new Set<string>([sending, "broadcast", ...(badge === undefined ? [] : ["auth"])])
    socket.onAny((name: string, ...args: ReadonlyArray<unknown>) => {
      if (!taken.has(name)) refuseUnknown(bucket, answerOf(args))
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

  const mayNot = (bucket: TokenBucket): Refusal | undefined => {
    if (state.isLeaving) return { code: "GOING_AWAY", message: "the gateway is leaving; send again after reconnecting" }
    if (bucket.take(Elapsed.msUnsafe(clock))) return undefined
    return { code: "RATE_LIMITED", message: `more than ${limits.chat.messages_per_second} messages a second` }
  }
  const isBusy = (member: Member): Refusal | undefined =>
    member.isPaused || member.waiting >= limits.chat.waiting_messages
      ? { code: "BUSY", message: "too much waits for the log; send again later" }
      : undefined
  /** A refusal goes where the answer would have gone, or on its own. */
  const refuse = (member: Member, answer: ((answer: Answer) => void) | undefined, refusal: Refusal): void => {
    if (answer === undefined) return member.refuse(refusal)
    counts.addTo("refused", refusal.code)
    answer({ error: refusal })
  }

  /** Only who waits for an answer is told: whatever else a program emits, nobody has asked about it. */
  const refuseUnknown = (bucket: TokenBucket, answer: ((answer: Answer) => void) | undefined): void => {
    const error = mayNot(bucket) ?? { code: "UNKNOWN_EVENT", message: "the chat has no event of this name" }
    counts.addTo("refused", error.code)
    answer?.({ error })
  }

  const takeMessage = (member: Member, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const refusal = mayNot(bucket) ?? member.badge?.deniesOf("room:publish") ?? isBusy(member)
    if (refusal !== undefined) return refuse(member, answer, refusal)
    const incoming = incomingOf(args, limits.chat.message_bytes)
    if (Result.isFailure(incoming)) return refuse(member, answer, incoming.failure)
    const { data, id: chosen } = incoming.success
    if (member.isOpen && isPlace(member.mark, data)) {
      return refuse(member, answer, { code: "BAD_MESSAGE", message: "the text is that of a place of this chat" })
    }
    const { author, room, socket } = member
    const id = chosen ?? ChatMessageId.make(ids.uuid())
    const said = chosen && readerOf(member).saidAt(member, { room, author, id })
    if (said !== undefined) return answer?.({ id, offset: positionAt(member.mark, said) })
    const isNew = member.await(id, (told) => {
      if ("error" in told) refuse(member, answer, told.error)
      else answer?.(told)
    })
    const from = { sender: member.sender, ...(member.badge !== undefined && { socket: socket.id }) }
    const record = encodeChat({ room, id, ...from, data }, chosen && author)
    if (isNew) hallOf(member).intake.put(record, { sender: member, id })
  }

  const takeBroadcast = (member: Member, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const refusal = mayNot(bucket) ?? member.badge?.deniesBroadcast()
    if (refusal !== undefined) return refuse(member, answer, refusal)
    const incoming = incomingOf(args, limits.chat.message_bytes)
    if (Result.isFailure(incoming)) return refuse(member, answer, incoming.failure)
    io.emit("broadcast", { sender: member.sender, data: incoming.success.data })
    answer?.({})
  }

  const takeAuth = (member: Member, badge: Badge, bucket: TokenBucket, args: ReadonlyArray<unknown>): void => {
    const answer = answerOf(args)
    const token = tokenIn(args[0])
    const refusal = mayNot(bucket) ?? (badge.isRenewing ? isRenewing : undefined)
    if (refusal !== undefined) return refuse(member, answer, refusal)
    if (token === undefined) return refuse(member, answer, noToken)
    run(
      Effect.match(badge.renew(token), {
        onSuccess: (seconds) => answer?.(seconds === undefined ? {} : { seconds }),
        onFailure: (denied) => refuse(member, answer, refusalOf(denied)),
      }),
    )
  }

  const leaving = (): Error => {
    counts.addTo("refused", "GOING_AWAY")
    return new Error("GOING_AWAY")
  }

  const letIn = (socket: ChatSocket, request: ConnectRequest, next: (error?: Error) => void): void => {
    const from = { address: socket.handshake.address, transport: path }
    const credentials = credentialsOf(socket.handshake)
    run(
      Effect.matchEffect(admit(access, request, credentials, from), {
        onSuccess: (principal) =>
          Effect.sync(() => {
            admitted.set(socket, { principal, from })
            next(state.isLeaving ? leaving() : undefined)
          }),
        onFailure: (denied) => {
          counts.addTo("refused", denied.code)
          if (denied._tag !== "AuthUnavailable") return Effect.sync(() => next(connectErrorOf(refusalOf(denied))))
          // A client that is told does not come back on its own; one whose connection closes does.
          return Effect.andThen(
            Effect.flatMap(Random.nextBetween(0, limits.retry_jitter_ms), (wait_ms) => Effect.sleep(wait_ms)),
            Effect.sync(() => void socket.conn.close()),
          )
        },
      }),
    )
  }

  io.use((socket, next) => {
    const connectRequest = connectRequestOf(socket.handshake, open !== undefined)
    if (isMisnamed(socket.handshake)) {
      counts.addTo("refused", "BAD_REQUEST")
      return next(new Error("Invalid client id"))
    }
    if (connectRequest === undefined) {
      counts.addTo("refused", "INVALID_ROOM_ID")
      return next(new Error("Invalid room id"))
    }
    if (state.isLeaving) return next(leaving())
    // It makes Socket.IO's clients remember offsets. Its own recovery would send every message through the adapter.
    socket.data.pid = connectRequest.pid ?? ids.uuid()
    Object.assign(socket, { pid: socket.data.pid })
    if (access.isOpen) next()
    else letIn(socket, connectRequest, next)
  })
  io.on("connection", (socket) => {
    const connectRequest = connectRequestOf(socket.handshake, open !== undefined)
    if (connectRequest === undefined) return
    const visit = admitted.get(socket)
    if (visit === undefined) {
      if (access.isOpen) welcome(socket, connectRequest, undefined)
      return
    }
    const tell = (refusal: Refusal): void => members.get(socket.id)?.refuse(refusal)
    welcome(socket, connectRequest, new Badge({ ...visit, access, socket, room: connectRequest.room, now_s, tell }))
  })
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

const isRenewing: Refusal = { code: "BUSY", message: "the token that came before is still looked at" }
const noToken: Refusal = { code: "BAD_MESSAGE", message: "auth has one argument: an object with a token" }

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
