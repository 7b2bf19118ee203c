/**
 * The WebSocket transports: `ws` itself on the gateway's HTTP server.
 *
 * | path | delivery | frames |
 * | --- | --- | --- |
 * | `/v1/stream` | routed | native, subprotocol `nimbus.v1` or none |
 * | `/approach3/events` | routed | those of NimbusWS |
 * | `/approach2/events` | direct | those of NimbusWS |
 *
 * With locks a session is opened once it is known whose it is: by what the upgrade carries (`Carriers.ts`), or by a first
 * frame `auth` within `first_frame_ms`. Whoever is not let in is told why by an `error` frame, and closed.
 *
 * On shutdown they accept no connections, stop reading, and wait (bounded) until the log has what they took. Then the
 * delivery core closes every session with GOING_AWAY. A request without an upgrade is answered with 426. An upgrade
 * before the transport has started is answered with 503.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { anyone } from "@nimbus/domain/access"
import { endpoints, problems } from "@nimbus/domain/http"
import { registerSize, Trace } from "@nimbus/domain/observability"
import { closeCodes, type CloseReason, Frames, partitionOf, start } from "@nimbus/domain/protocol"
import { EventLog, RandomIds, Topics } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Layer, Result, Schedule } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Access, type Admitted } from "../access/Access.ts"
import { type BoundedWebSocket, BoundedWebSocketServer } from "../sockets/BoundedWebSockets.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { ConnectionGone } from "../Errors.ts"
import { FairReading, nothing } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { isRefusal, refusalNotice, refusalOf } from "../Transport.ts"
import { bearerProtocol, isNothing } from "../http/Carriers.ts"
import { pathOf, refuse, refuseNowhere } from "../http/Refusal.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { type Asked, parseQuery, type Query } from "./ConnectQuery.ts"
import { Socket } from "./Socket.ts"
import { nimbusWs } from "./NimbusWsCodec.ts"
import { type Early, Unadmitted } from "./Unadmitted.ts"
import { type FrameFormat, native } from "./FrameCodec.ts"

interface TransportOptions {
  readonly path: `/${string}`
  readonly format: FrameFormat
  readonly delivery: "routed" | "direct"
}

const transports: ReadonlyArray<TransportOptions> = [
  { path: endpoints.stream.path, format: native, delivery: "routed" },
  { path: endpoints.approach3.path, format: nimbusWs, delivery: "routed" },
  { path: endpoints.approach2.path, format: nimbusWs, delivery: "direct" },
]

/** A WebSocket that has come, and what it asks for. */
interface Visit extends Pick<TransportOptions, "format" | "path"> {
  readonly handle: TransportOptions["delivery"]
  readonly query: Asked
  readonly raw: Duplex
  readonly request: IncomingMessage
}

interface Opens extends Admitted, Pick<Visit, "handle" | "request"> {
  readonly query: Query
  readonly socket: Socket
}

const make = Effect.gen(function* () {
  const access = yield* Access
  const delivery = yield* Delivery
  const limits = yield* Limits
  const reading = yield* FairReading
  const upgrades = yield* UpgradeServer
  const { partitions } = yield* EventLog
  const { events, results } = yield* Topics
  const clock = yield* Clock.Clock
  const timers = yield* Timers
  const ids = yield* RandomIds
  const now = () => clock.currentTimeMillisUnsafe()
  /** Of all paths: they leave together. */
  const sockets = new Set<Socket>()
  yield* registerSize("websockets", {
    get size() {
      return { sockets: sockets.size }
    },
  })
  const run = yield* FiberSet.makeRuntime<never>()

  const open = ({ handle: kind, query, request, socket, ...admitted }: Opens) =>
    (kind === "direct" ? delivery.openDirect : delivery.open)({
      ...admitted,
      address: access.isOpen ? undefined : upgrades.from(request, socket.name).address,
      after: query.after ?? start,
      log: query.log,
      autoAck: query.ack !== "client",
      transport: socket,
    }).pipe(
      Effect.match({
        onSuccess: (handle) => socket.attach(handle),
        onFailure: (error) => {
          if (isRefusal(error)) socket.notify(refusalNotice(error))
          socket.close(refusalOf(error))
        },
      }),
    )

  /** It is known whose it is. */
  const begin = (
    ws: BoundedWebSocket,
    visit: Visit,
    { clientId, principal }: Admitted,
    early: ReadonlyArray<Early>,
  ) => {
    const { format, handle, path, raw, request } = visit
    const query = { ...visit.query, clientId }
    const trace = Trace.headersFrom(request.headers[Trace.header])
    const place = { events, results, partition: partitionOf(clientId, partitions) }
    const codec = format.open({ query, limits, now, place, isOpen: access.isOpen })
    const options = { name: path, trace, ws, raw, codec, early, autoAck: query.ack !== "client" }
    const socket = new Socket({
      ...options,
      journey: query.journey === "true",
      unauthenticated: () => upgrades.failed(request),
      limits,
      reading,
      counts: delivery.counts,
      clock,
      timers,
      ids,
    })
    sockets.add(socket)
    ws.once("close", () => sockets.delete(socket))
    return open({ handle, query, request, socket, clientId, principal })
  }

  /** Nothing is read of it until it is known whose it is, but what shows it. */
  const letIn = (ws: BoundedWebSocket, visit: Visit) => {
    const { path, query, request } = visit
    const { ack, after = start, clientId, journey } = query
    const from = upgrades.from(request, path)
    const waiting = new Unadmitted(ws, () => delivery.counts.addTo("refused", "PROTOCOL_ERROR"))
    return Effect.gen(function* () {
      const carried = upgrades.shown(request)
      const shown = isNothing(carried) ? yield* waiting.firstFrame(timers, limits.first_frame_ms) : carried
      const asked = { clientId, after, autoAck: ack !== "client", reads: true, journey: journey === "true" }
      const admitted = yield* access.connect(asked, shown, from)
      // Meanwhile it may have closed, and what it was given then would never hear of it.
      if (waiting.isGone) return yield* new ConnectionGone()
      yield* begin(ws, visit, admitted, waiting.release())
    }).pipe(
      Effect.catch((error) =>
        Effect.sync(() => {
          waiting.release()
          if (error._tag === "ConnectionGone") return
          if (error._tag !== "AuthUnavailable") upgrades.failed(request)
          turnAway(ws, visit.format.refusal({ code: error.code, message: error.message, id: undefined }), error.code)
          end(ws, refusalOf(error))
        }),
      ),
      Effect.onInterrupt(() => Effect.sync(() => end(ws, closeCodes.goingAway))),
    )
  }

  const greet = (
    ws: BoundedWebSocket,
    raw: Duplex,
    request: IncomingMessage,
    { delivery: handle, format, path }: TransportOptions,
  ): void => {
    const query = parseQuery(request.url ?? "/", access.isOpen)
    if (Result.isFailure(query)) {
      const { isNameless, message } = query.failure
      upgrades.failed(request)
      turnAway(
        ws,
        format.refusal({ code: closeCodes.badRequest.reason, message, id: undefined }),
        closeCodes.badRequest.reason,
      )
      // NimbusWS closes without a code.
      return isNameless && format === nimbusWs ? ws.close() : end(ws, closeCodes.badRequest)
    }
    const visit = { query: query.success, raw, request, handle, format, path }
    const { clientId } = query.success
    if (access.isOpen && clientId !== undefined) run(begin(ws, visit, { clientId, principal: anyone(clientId) }, []))
    else run(letIn(ws, visit))
  }

  /** It gets no session, and is told why. */
  const turnAway = (ws: BoundedWebSocket, frame: object, code: string): void => {
    delivery.counts.addTo("refused", code)
    ws.on("error", () => delivery.counts.addTo("refused", "PROTOCOL_ERROR"))
    ws.send(JSON.stringify(frame))
  }

  const end = (ws: BoundedWebSocket, { code, reason }: CloseReason): void => {
    ws.close(code, reason)
    // The peer's answer to the close must be read; one that does not answer is cut off.
    ws.resume()
    timers.after(limits.close_ms, () => ws.terminate())
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      for (const socket of sockets) socket.pause()
      return delivery.drained
    }),
  )
  for (const transport of transports) {
    const server = serverOf(transport, limits, delivery.counts, timers)
    yield* upgrades.handle(transport.path, (request, raw, head) => {
      let taken: BoundedWebSocket | undefined
      reading.share(raw, { head, busy: () => taken?.endBusy() })
      server.handleUpgrade(request, raw, nothing, (ws) => {
        taken = ws
        greet(ws, raw, request, transport)
      })
    })
  }
  yield* Effect.sync(() => {
    const now_ms = now()
    for (const socket of sockets) socket.check(now_ms)
  }).pipe(Effect.repeat(Schedule.spaced(limits.idle_timeout_ms / 4)), Effect.forkScoped)
  yield* Effect.sync(() => {
    const now_ms = now()
    for (const socket of sockets) socket.look(now_ms)
  }).pipe(Effect.repeat(Schedule.spaced(limits.auto_ack.look_ms)), Effect.forkScoped)
})

export const layer = Layer.effectDiscard(make).pipe(Layer.provide(Timers.layer))

const serverOf = (
  { format }: TransportOptions,
  limits: GatewayLimits,
  counts: Counts,
  timers: Timers["Service"],
): BoundedWebSocketServer =>
  new BoundedWebSocketServer(
    {
      noServer: true,
      maxPayload: limits.frame_bytes,
      perMessageDeflate: false,
      clientTracking: false,
      handleProtocols: (offered) => protocolOf(format, offered),
    },
    { ...limits, timers, onCut: (reason) => counts.addTo("refused", reason) },
  )

/**
 * NimbusWS takes the first that is offered, and a client that gets none of those it offers does not go on. One that has a
 * token in it is none.
 */
const protocolOf = (format: FrameFormat, offered: ReadonlySet<string>): string | false => {
  if (format === nimbusWs) return [...offered].find((protocol) => !protocol.startsWith(bearerProtocol)) ?? false
  return offered.has(Frames.subprotocol) ? Frames.subprotocol : false
}

/**
 * What speaks HTTP to a transport is told what the transport speaks. The router passes over slashes that a transport
 * does not.
 */
const answerAt = (path: string) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, url }) => {
    if (pathOf(url) !== path) return refuseNowhere(url)
    // The transport takes it as long as it is there, which it is not yet when the first requests are answered.
    if (headers["upgrade"]?.toLowerCase() === "websocket") return notReady
    return refuse(problems.upgradeRequired, "this is a WebSocket: connect with ws://", {
      connection: "upgrade",
      upgrade: "websocket",
    })
  })

const notReady = Effect.succeed(
  HttpServerResponse.text("not ready: starting or stopping\n", { status: 503, headers: { "retry-after": "1" } }),
)

export const routes = Layer.mergeAll(
  Layer.empty,
  ...transports.map(({ path }) => HttpRouter.add("GET", path, answerAt(path))),
)
