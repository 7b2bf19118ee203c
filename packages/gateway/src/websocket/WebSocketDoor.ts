/**
 * The native WebSocket door at `/v1/stream`: `ws` itself on the gateway's HTTP server, subprotocol `nimbus.v1` or none.
 *
 * Going away: it stops taking connections, reads nothing more, waits until the log has what it took (bounded), and
 * then the delivery core closes every session with GOING_AWAY.
 */
import { closeCodes, Frames, start } from "@nimbus/domain"
import { Clock, Effect, FiberSet, Layer, Result, Schedule } from "effect"
import { type WebSocket, WebSocketServer } from "ws"
import { Delivery } from "../delivery/Delivery.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { Limits } from "../Limits.ts"
import { parseQuery, type Query } from "./Hello.ts"
import { Socket } from "./Socket.ts"

export const path = "/v1/stream"

/** How long a leaving door waits for the log. What was not accepted by then, clients send again. */
const drain_ms = 2_000

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const delivery = yield* Delivery
    const limits = yield* Limits
    const upgrades = yield* UpgradeServer
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const sockets = new Set<Socket>()
    const run = yield* FiberSet.makeRuntime<never>()
    const server = new WebSocketServer({
      noServer: true,
      maxPayload: limits.frame_bytes,
      perMessageDeflate: false,
      clientTracking: false,
      handleProtocols: (offered) => (offered.has(Frames.subprotocol) ? Frames.subprotocol : false),
    })

    const open = (socket: Socket, query: Query) =>
      delivery.open({ clientId: query.clientId, after: query.after ?? start, log: query.log, door: socket }).pipe(
        Effect.match({
          onSuccess: (attached) => socket.attach(attached),
          onFailure: (error) => {
            delivery.counts.addTo("failed", error._tag)
            socket.close(closeCodes.unavailable)
          },
        }),
      )

    const greet = (ws: WebSocket, url: string): void => {
      const query = parseQuery(url)
      if (Result.isFailure(query)) return refuse(ws, query.failure)
      const { ack, clientId, journey } = query.success
      const options = { ws, clientId, autoAck: ack !== "client", journey: journey === "true" }
      const socket = new Socket({ ...options, limits, counts: delivery.counts, now })
      sockets.add(socket)
      ws.once("close", () => sockets.delete(socket))
      run(open(socket, query.success))
    }

    const refuse = (ws: WebSocket, message: string): void => {
      delivery.counts.addTo("refused", "BAD_REQUEST")
      ws.on("error", () => delivery.counts.addTo("refused", "PROTOCOL_ERROR"))
      ws.send(JSON.stringify({ type: "error", code: "BAD_REQUEST", message }))
      ws.close(closeCodes.badRequest.code, closeCodes.badRequest.reason)
    }

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        for (const socket of sockets) socket.pause()
        return Effect.timeoutOption(delivery.idle, drain_ms)
      }),
    )
    yield* upgrades.handle(path, (request, socket, head) =>
      server.handleUpgrade(request, socket, head, (ws) => greet(ws, request.url ?? "/")),
    )
    yield* Effect.sync(() => {
      const now_ms = now()
      for (const socket of sockets) socket.check(now_ms)
    }).pipe(Effect.repeat(Schedule.spaced(limits.idle_timeout_ms / 4)), Effect.forkScoped)
  }),
)
