/**
 * Which sockets come in. Where there are locks each must show who it is before it is welcome: it is looked at while
 * nothing of it is read but that.
 */
import { RandomIds } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Random } from "effect"
import { Access } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { Limits } from "../Limits.ts"
import { Subjects } from "../subjects/Subjects.ts"
import { admit, Badge, connectErrorOf, refusalOf, type Visit } from "./Badge.ts"
import type { ChatServer, ChatSocket } from "./ChatEvents.ts"
import { type ConnectRequest, connectRequestOf, isMisnamed, tokenOf } from "./ConnectRequest.ts"
import { path } from "./EngineServer.ts"

export interface DoorOptions {
  readonly io: ChatServer
  /** Whether a socket may come without a room. */
  readonly mayBeOpen: boolean
  readonly isLeaving: () => boolean
  readonly welcome: (socket: ChatSocket, request: ConnectRequest, badge: Badge | undefined) => void
}

export const openDoor = Effect.fnUntraced(function* ({ io, isLeaving, mayBeOpen, welcome }: DoorOptions) {
  const access = yield* Access
  const subjects = yield* Subjects
  const upgrades = yield* UpgradeServer
  const { counts } = yield* Delivery
  const limits = yield* Limits
  const ids = yield* RandomIds
  const clock = yield* Clock.Clock
  const run = yield* FiberSet.makeRuntime<never>()
  const now_s = () => clock.currentTimeMillisUnsafe() / 1000
  /** Who they are that have not been welcomed yet. */
  const admitted = new WeakMap<ChatSocket, Visit>()
  /** Connections whose token is looked at, or counted for nothing. */
  const asked = new WeakSet<ChatSocket["conn"]>()

  const leaving = (): Error => {
    counts.addTo("refused", "GOING_AWAY")
    return new Error("GOING_AWAY")
  }

  const letIn = (socket: ChatSocket, request: ConnectRequest, next: (error?: Error) => void): void => {
    const { conn } = socket
    // A client of Socket.IO waits for the answer. What asks again meanwhile would have more tokens looked at than one.
    if (asked.has(conn)) return conn.close(true)
    asked.add(conn)
    const from = upgrades.from(socket.request, path)
    const shown = { ...upgrades.shown(socket.request), ...tokenOf(socket.handshake) }
    run(
      Effect.matchEffect(admit({ access, subjects }, socket, request, shown, from), {
        onSuccess: (visit) =>
          Effect.sync(() => {
            admitted.set(socket, visit)
            next(isLeaving() ? leaving() : undefined)
          }),
        onFailure: (denied) => turnAway(socket, denied, next),
      }),
    )
  }

  const turnAway = ({ conn, request }: ChatSocket, denied: NotLetIn, next: (error?: Error) => void) => {
    counts.addTo("refused", denied.code)
    if (denied._tag === "AuthUnavailable") {
      // A client that is told does not come back on its own; one whose connection closes does.
      return Effect.andThen(
        Effect.flatMap(Random.nextBetween(0, limits.retry_jitter_ms), (wait_ms) => Effect.sleep(wait_ms)),
        Effect.sync(() => void conn.close()),
      )
    }
    return Effect.sync(() => {
      if (isFault(denied)) upgrades.failed(request)
      next(connectErrorOf(refusalOf(denied)))
      // Behind that answer. The next token is to come as a request of its own, which its address is counted for.
      setImmediate(() => conn.close())
    })
  }

  io.use((socket, next) => {
    const connectRequest = connectRequestOf(socket.handshake, mayBeOpen)
    if (isMisnamed(socket.handshake)) {
      counts.addTo("refused", "BAD_REQUEST")
      return next(new Error("Invalid client id"))
    }
    if (connectRequest === undefined) {
      counts.addTo("refused", "INVALID_ROOM_ID")
      return next(new Error("Invalid room id"))
    }
    if (isLeaving()) return next(leaving())
    // It makes Socket.IO's clients remember offsets. Its own recovery would send every message through the adapter.
    socket.data.pid = connectRequest.pid ?? ids.uuid()
    Object.assign(socket, { pid: socket.data.pid })
    if (access.isOpen) next()
    else letIn(socket, connectRequest, next)
  })
  io.on("connection", (socket) => {
    asked.delete(socket.conn)
    const connectRequest = connectRequestOf(socket.handshake, mayBeOpen)
    if (connectRequest === undefined) return
    const visit = admitted.get(socket)
    if (visit === undefined) {
      if (access.isOpen) welcome(socket, connectRequest, undefined)
      return
    }
    const badge = new Badge({ ...visit, access, socket, room: connectRequest.room, now_s, counts, limits })
    if (badge.hasEnded) badge.release()
    else welcome(socket, connectRequest, badge)
  })
})

type NotLetIn = Effect.Error<ReturnType<typeof admit>>

/** Of the client's own, as a request that is answered 401 or 403. */
const isFault = ({ code }: NotLetIn): boolean => ["TOKEN_MISSING", "TOKEN_INVALID", "FORBIDDEN"].includes(code)
