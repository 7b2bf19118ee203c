/**
 * The WebSocket transports: `ws` itself on the gateway's HTTP server.
 *
 * | path | delivery | frames |
 * | --- | --- | --- |
 * | `/v1/stream` | routed | native, subprotocol `nimbus.v1` or none |
 * | `/approach3/events` | routed | those of NimbusWS |
 * | `/approach2/events` | direct | those of NimbusWS |
 *
 * On shutdown they accept no connections, stop reading, and wait (bounded) until the log has what they took. Then the
 * delivery core closes every session with GOING_AWAY. A request without an upgrade is answered with 426. An upgrade
 * before the transport has started is answered with 503.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { endpoints, problems } from "@nimbus/domain/http"
import { Trace } from "@nimbus/domain/observability"
import { closeCodes, Frames, partitionOf, start } from "@nimbus/domain/protocol"
import { EventLog, RandomIds, Topics } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Layer, Result, Schedule } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Access } from "../access/Access.ts"
import { type BoundedWebSocket, BoundedWebSocketServer } from "../sockets/BoundedWebSockets.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { FairReading, nothing } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { isRefusal, refusalNotice, refusalOf } from "../Transport.ts"
import { pathOf, refuse, refuseNowhere } from "../http/Refusal.ts"
import { UpgradeServer } from "../http/UpgradeServer.ts"
import { type GatewayLimits, Limits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { type BadQuery, parseQuery, type Query } from "./ConnectQuery.ts"
import { Socket } from "./Socket.ts"
import { nimbusWs } from "./NimbusWsCodec.ts"
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
  const run = yield* FiberSet.makeRuntime<never>()

  const open = (
    socket: Socket,
    { ack, after = start, clientId, journey, log }: Query,
    kind: TransportOptions["delivery"],
  ) =>
    Effect.flatMap(
      access.connect(
        { clientId, after, autoAck: ack !== "client", reads: true, journey: journey === "true" },
        {},
        { address: undefined, transport: socket.name },
      ),
      (admitted) =>
        (kind === "direct" ? delivery.openDirect : delivery.open)({
          ...admitted,
          after,
          log,
          autoAck: ack !== "client",
          transport: socket,
        }),
    ).pipe(
      Effect.match({
        onSuccess: (handle) => socket.attach(handle),
        onFailure: (error) => {
          if (isRefusal(error)) socket.notify(refusalNotice(error))
          socket.close(refusalOf(error))
        },
      }),
    )

  const greet = (
    ws: BoundedWebSocket,
    raw: Duplex,
    request: IncomingMessage,
    { delivery: kind, format, path }: TransportOptions,
  ): void => {
    const query = parseQuery(request.url ?? "/")
    if (Result.isFailure(query)) {
      upgrades.failed(request)
      return turnAway(ws, query.failure, format)
    }
    const { ack, clientId, journey } = query.success
    const trace = Trace.headersFrom(request.headers[Trace.header])
    const place = { events, results, partition: partitionOf(clientId, partitions) }
    const codec = format.open({ query: query.success, limits, now, place })
    const options = { name: path, trace, ws, raw, codec, autoAck: ack !== "client", journey: journey === "true" }
    const socket = new Socket({ ...options, limits, reading, counts: delivery.counts, clock, timers, ids })
    sockets.add(socket)
    ws.once("close", () => sockets.delete(socket))
    run(open(socket, query.success, kind))
  }

  const turnAway = (ws: BoundedWebSocket, { isNameless, message }: BadQuery, format: FrameFormat): void => {
    const { code, reason } = closeCodes.badRequest
    delivery.counts.addTo("refused", reason)
    ws.on("error", () => delivery.counts.addTo("refused", "PROTOCOL_ERROR"))
    ws.send(JSON.stringify(format.refusal({ code: reason, message, id: undefined })))
    // NimbusWS closes without a code.
    if (isNameless && format === nimbusWs) ws.close()
    else ws.close(code, reason)
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

/** NimbusWS takes the first that is offered, and a client that gets none of those it offers does not go on. */
const protocolOf = (format: FrameFormat, offered: ReadonlySet<string>): string | false => {
  if (format === nimbusWs) return offered.values().next().value ?? false
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
