/**
 * The HTTP/2 server of the gRPC door, without TLS, and where it listens. It stands below the delivery core, so that on
 * the way down the sessions end before the port is closed. Until the door is there, and after it has gone, calls are
 * answered UNAVAILABLE.
 */
import { createServer, type Http2ServerRequest, type Http2ServerResponse, type Http2Session } from "node:http2"
import { Clock, Config, Context, Effect, Layer, Schema, type Scope } from "effect"
import { Code } from "@connectrpc/connect"
import { GrpcPortUnavailable } from "../Errors.ts"
import { Limits } from "../Limits.ts"
import { Peer } from "./Peer.ts"
import { answer, trailers } from "./Status.ts"

export interface GrpcOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Whether events of calls that do not say are followed: clients of the old contract show steps and can't ask for them. */
  readonly followsAll?: boolean
}

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

export const grpcConfig = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.schema(Port, "NIMBUS_PORT").pipe(Config.withDefault(50_051)),
  followsAll: Config.Boolean("NIMBUS_GRPC_JOURNEY").pipe(Config.withDefault(false)),
})

export type CallHandler = (request: Http2ServerRequest, response: Http2ServerResponse, peer: Peer) => void

export class GrpcServer extends Context.Service<
  GrpcServer,
  {
    /** Where it listens. */
    readonly host: string
    readonly port: number
    readonly followsAll: boolean
    /** The connections now. */
    readonly peers: () => Iterable<Peer>
    /** Called for each connection that breaks HTTP/2's own rules, and so ends. */
    readonly onProtocolError: (listener: () => void) => void
    /** Takes all calls for as long as the scope lives. */
    handle(handler: CallHandler): Effect.Effect<void, never, Scope.Scope>
  }
>()("@nimbus/gateway/GrpcServer") {
  static readonly layerWith = (options: GrpcOptions) => Layer.effect(GrpcServer, listening(options))
  /** From `NIMBUS_HOST` and `NIMBUS_PORT`. */
  static readonly layer = Layer.unwrap(Effect.map(grpcConfig, (options) => GrpcServer.layerWith(options)))
}

const absent: CallHandler = (_, response) => answer(response, trailers(Code.Unavailable, "starting or stopping"))

const listening = Effect.fnUntraced(function* ({ followsAll = false, host, port }: GrpcOptions) {
  const { calls_per_connection, close_ms } = yield* Limits
  const clock = yield* Clock.Clock
  const peers = new Map<Http2Session | undefined, Peer>()
  let handler = absent

  const server = createServer({ settings: { maxConcurrentStreams: calls_per_connection } }, (request, response) => {
    const peer = peers.get(request.stream.session)
    if (peer !== undefined) handler(request, response, peer)
  })
  server.on("connection", (socket: { setNoDelay(): void }) => socket.setNoDelay())
  server.on("session", (session) => {
    peers.set(session, new Peer(session, () => clock.currentTimeMillisUnsafe()))
    session.once("close", () => peers.delete(session))
  })

  const listen = Effect.callback<number, GrpcPortUnavailable>((resume) => {
    server.once("error", (cause) => resume(Effect.fail(new GrpcPortUnavailable({ host, port, cause }))))
    server.listen(port, host, () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })
  /** Calls under way have `close_ms` to end. */
  const close = Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
    for (const peer of peers.values()) peer.close()
    setTimeout(() => peers.forEach((peer) => peer.destroy()), close_ms).unref()
  })
  return GrpcServer.of({
    host,
    followsAll,
    port: yield* Effect.acquireRelease(listen, () => close),
    peers: () => peers.values(),
    onProtocolError: (listener) => void server.on("sessionError", listener),
    handle: (taken) =>
      Effect.acquireRelease(
        Effect.sync(() => void (handler = taken)),
        () => Effect.sync(() => void (handler = absent)),
      ),
  })
})
