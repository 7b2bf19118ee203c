/**
 * Socket.IO on an HTTP server that never listens: once open, requests and upgrades are handed to it from the gateway's
 * own.
 */
import { type IncomingMessage, Server as HttpServer } from "node:http"
import type { Duplex } from "node:stream"
import { closeCodes } from "@nimbus/domain/protocol"
import { Effect } from "effect"
import { Server } from "socket.io"
import { Access } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { type RequestHandler, UpgradeServer } from "../http/UpgradeServer.ts"
import { Limits } from "../Limits.ts"
import { serversWithin } from "../sockets/BoundedWebSockets.ts"
import { type FairReading, nothing } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { ChatAdapter } from "./ChatAdapter.ts"
import type { ChatServer, ChatSocket } from "./ChatEvents.ts"
import { Outgoing } from "./Outgoing.ts"
import * as Parser from "./Parser.ts"
import { Unjoined } from "./Unjoined.ts"

/** Where Socket.IO's clients go on their own. */
export const path = "/socket.io/"

/** What a page loads from beside it: Socket.IO's own client, in the version of this server. */
const clientFiles = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"].flatMap(
  (name) => [name, `${name}.map`],
)

export const server = Effect.fnUntraced(function* (reading: FairReading["Service"]) {
  const { counts } = yield* Delivery
  const limits = yield* Limits
  const upgrades = yield* UpgradeServer
  const adapter = yield* ChatAdapter
  const { isOpen } = yield* Access
  const timers = yield* Timers
  const onTooSlow = () => counts.addTo("refused", closeCodes.tooSlow.reason)
  /** Of what waits for a socket its messages are a part. */
  const bounds = { answers_bytes: limits.socket_buffer_bytes, answers_cut_bytes: limits.chat.socket_cut_bytes }
  const outgoing = new Map<string, Outgoing>()
  const behind = new HttpServer()
  const upgraded = new Set<Duplex>()
  // A client that does not even answer a close would block the port.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const socket of upgraded) socket.destroy()
    }),
  )
  const io: ChatServer = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Server(behind, {
          // Beyond the bound of a message, so that one that is too big is refused, and its connection stays.
          maxHttpBufferSize: Math.max(limits.chat.frame_bytes, 4 * limits.chat.message_bytes),
          parser: Parser,
          // Where there are locks the packet with which a client joins is the one that shows who it is.
          ...(!isOpen && { connectTimeout: limits.first_frame_ms }),
          wsEngine: serversWithin({ ...limits, ...bounds, timers, onCut: (reason) => counts.addTo("refused", reason) }),
          ...(adapter !== undefined && { adapter }),
        }),
    ),
    (io) => Effect.promise(() => io.close()),
  )
  const unjoined = new Unjoined<ChatSocket["conn"]>(limits.chat.unjoined, (conn) => {
    counts.addTo("refused", "NOT_JOINED")
    conn.close(true)
  })
  io.engine.on("connection", (conn: ChatSocket["conn"]) => {
    const sid = idOf(conn)
    conn.on("packet", () => reading.count())
    unjoined.add(conn)
    outgoing.set(sid, new Outgoing(conn, limits, onTooSlow))
    conn.once("close", () => {
      unjoined.remove(conn)
      outgoing.delete(sid)
    })
  })
  io.on("connection", ({ conn }) => unjoined.remove(conn))
  const take: RequestHandler = (request, response) => {
    const read = () => void (request.socket.destroyed || behind.emit("request", request, response))
    const waiting = request.method === "POST" ? outgoing.get(sidOf(request)) : undefined
    if (waiting === undefined) read()
    else waiting.whenRead(read)
  }
  const open = Effect.gen(function* () {
    yield* upgrades.handle(path, (request, socket, head) => {
      upgraded.add(socket)
      socket.once("close", () => upgraded.delete(socket))
      const busy = () => {
        counts.addTo("refused", closeCodes.busy.reason)
        socket.destroy()
      }
      reading.share(socket, { head, busy })
      behind.emit("upgrade", request, socket, nothing)
    })
    yield* upgrades.handleRequests(path, take)
    for (const file of clientFiles) {
      yield* upgrades.handleRequests(path + file, (request, response) => {
        // Socket.IO compresses them anew for each request, which is more than a stranger may make us do.
        delete request.headers["accept-encoding"]
        behind.emit("request", request, response)
      })
    }
  })
  return { io, open }
})

/** Public, but not by its types. */
const idOf = (conn: object): string => ("id" in conn ? String(conn.id) : "")

/** The session of Engine.IO that a request is of. */
const sidOf = ({ url = "/" }: IncomingMessage): string => new URL(url, "http://gateway").searchParams.get("sid") ?? ""
