/**
 * The HTTP/2 server of the gRPC transport, and where it listens: with TLS where there is `Tls`, and otherwise without. It
 * stands below the delivery core, so that on the way down the sessions end before the port is closed. Until the
 * transport is there, and after it has gone, calls are answered UNAVAILABLE.
 */
import {
  createServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2"
import { createServer as createTcpServer, type Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { Clock, Config, Context, Effect, Layer, Option, Schema, type Scope } from "effect"
import { Code } from "@connectrpc/connect"
import { Addresses, messageOf, onClose } from "../addresses/Addresses.ts"
import type { TooMany } from "../addresses/AddressBook.ts"
import type { Origins } from "../addresses/ClientAddress.ts"
import { GrpcPortUnavailable } from "../Errors.ts"
import { EventLoopTurns } from "../sockets/EventLoopTurns.ts"
import { Timers } from "../sockets/Timers.ts"
import { Limits } from "../Limits.ts"
import { peerCertificateOf } from "../tls/PeerCertificates.ts"
import { Tls } from "../tls/Tls.ts"
import { Peer } from "./Peer.ts"
import { answer, trailers } from "./Status.ts"

/** Where the gRPC transport listens. */
export interface GrpcOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /**
   * Whether events of calls that do not say are sampled: clients of the old contract show steps and can't ask for them.
   */
  readonly followsAll?: boolean
  /** Whether tools may ask for the contract. Default: yes. */
  readonly reflects?: boolean
}

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

export const grpcConfig = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.schema(Port, "NIMBUS_PORT").pipe(Config.withDefault(50_051)),
  followsAll: Config.Boolean("NIMBUS_GRPC_JOURNEY").pipe(Config.withDefault(false)),
  reflects: Config.Boolean("NIMBUS_GRPC_REFLECTION").pipe(Config.withDefault(true)),
})

export type CallHandler = (request: Http2ServerRequest, response: Http2ServerResponse, peer: Peer) => void

/** The HTTP/2 server of the gRPC transport. */
export class GrpcServer extends Context.Service<
  GrpcServer,
  {
    /** Where it listens. */
    readonly host: string
    readonly port: number
    /** It speaks TLS. */
    readonly isEncrypted: boolean
    readonly followsAll: boolean
    readonly reflects: boolean
    /** The connections now. */
    readonly peers: () => Iterable<Peer>
    /** Called for each connection that breaks HTTP/2's own rules, and so ends. */
    readonly onProtocolError: (listener: () => void) => void
    /** Called for each call that is refused for its address, with the code of its row in docs/errors.md. */
    readonly onRefused: (listener: (code: string) => void) => void
    /** From where a call comes, as far as it is known. */
    addressOf(request: Http2ServerRequest): string | undefined
    /** Takes all calls for as long as the scope lives. */
    handle(handler: CallHandler): Effect.Effect<void, never, Scope.Scope>
  }
>()("@nimbus/gateway/GrpcServer") {
  static readonly layerWith = (options: GrpcOptions) =>
    Layer.effect(GrpcServer, listening(options)).pipe(Layer.provide(Timers.layer))
  /** From `NIMBUS_HOST` and `NIMBUS_PORT`. */
  static readonly layer = Layer.unwrap(Effect.map(grpcConfig, (options) => GrpcServer.layerWith(options)))
}

const absent: CallHandler = (_, response) => answer(response, trailers(Code.Unavailable, "starting or stopping"))

const listening = Effect.fnUntraced(function* ({ followsAll = false, reflects = true, host, port }: GrpcOptions) {
  const { calls_per_connection, calls_per_turn, close_ms, resets_per_second } = yield* Limits
  const clock = yield* Clock.Clock
  const timers = yield* Timers
  const peers = new Map<Http2Session | undefined, Peer>()
  let handler = absent

  const addresses = yield* Addresses
  const remotes = new WeakMap<Http2Session, string | undefined>()
  /** Connections that are one too many for their address. */
  const refusedSessions = new WeakMap<Http2Session, TooMany>()
  let tellRefused = (_code: string): void => {}

  const originsOf = (session: Http2Session | undefined, headers: IncomingHttpHeaders): Origins => ({
    peer: session && remotes.get(session),
    forwardedFor: headers["x-forwarded-for"]?.toString(),
    forwarded: headers["forwarded"]?.toString(),
  })

  const begin = (request: Http2ServerRequest, response: Http2ServerResponse): void => {
    const { session } = request.stream
    const peer = peers.get(session)
    if (session === undefined || peer === undefined) return
    const origins = originsOf(session, request.headers)
    const refusal =
      refusedSessions.get(session) ?? addresses.ask(origins) ?? addresses.open(origins, onClose(response.stream))
    if (refusal !== undefined) {
      tellRefused(refusal.code)
      const message = `${refusal.code}: ${messageOf(refusal)}`
      return answer(response, trailers(Code.ResourceExhausted, message, refusal.retry_ms))
    }
    const { stream } = response
    stream.once("close", () => {
      if (isFailure(stream)) addresses.fail(origins)
    })
    handler(request, response, peer)
  }

  const turns = new EventLoopTurns(calls_per_turn)
  const server = createServer({
    settings: { maxConcurrentStreams: calls_per_connection },
    streamResetBurst: resets_per_second,
    streamResetRate: resets_per_second,
  })
  // A call that is reset at once (CVE-2023-44487) is gone before its turn, and nothing but the stream was made for it.
  server.on("stream", (stream, headers, _flags, rawHeaders) => {
    const giveUp = turns.take(() => {
      if (stream.destroyed) return
      begin(new Http2ServerRequest(stream, headers, {}, rawHeaders), new Http2ServerResponse(stream))
    })
    stream.once("close", giveUp)
    // Its client has reset it: that it is closed says so.
    stream.on("error", ignore)
  })
  server.on("session", (session) => {
    const remote = session.socket.remoteAddress
    remotes.set(session, remote)
    // Through a door it has been accepted.
    const refusal = door === undefined ? addresses.accept(remote, onClose(session)) : undefined
    if (refusal !== undefined) {
      refusedSessions.set(session, refusal)
      timers.after(close_ms, () => session.destroy())
    }
    peers.set(session, new Peer(session, () => clock.currentTimeMillisUnsafe(), opening && peerCertificateOf(opening)))
    session.once("close", () => peers.delete(session))
  })
  server.on("sessionError", (_: unknown, session: ServerHttp2Session) => addresses.fail(originsOf(session, {})))

  /** The connection whose session begins: of the session HTTP/2 shows another object for its socket. */
  let opening: TLSSocket | undefined
  const door = Option.getOrUndefined(yield* Effect.serviceOption(Tls))?.door({
    protocol: "h2",
    addresses,
    opened: (socket) => {
      opening = socket
      server.emit("connection", socket)
      opening = undefined
    },
    refused: (code) => tellRefused(code),
  })
  /** What listens: with TLS, HTTP/2 is given what has come through the door. */
  const listener = door === undefined ? server : createTcpServer((socket) => door.take(socket))
  listener.on("connection", (socket: Socket) => socket.setNoDelay())

  const listen = Effect.callback<number, GrpcPortUnavailable>((resume) => {
    listener.once("error", (cause) => resume(Effect.fail(new GrpcPortUnavailable({ host, port, cause }))))
    listener.listen(port, host, () => {
      const address = listener.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })
  /** Calls under way have `close_ms` to end. */
  const close = Effect.callback<void>((resume) => {
    listener.close(() => resume(Effect.void))
    door?.close()
    for (const peer of peers.values()) peer.close()
    timers.after(close_ms, () => peers.forEach((peer) => peer.destroy()))
  })
  return GrpcServer.of({
    host,
    followsAll,
    isEncrypted: door !== undefined,
    reflects,
    port: yield* Effect.acquireRelease(listen, () => close),
    peers: () => peers.values(),
    addressOf: ({ headers, stream }) => addresses.from(originsOf(stream.session, headers))?.text,
    onRefused: (listener) => void (tellRefused = listener),
    onProtocolError: (listener) => void server.on("sessionError", listener),
    handle: (taken) =>
      Effect.acquireRelease(
        Effect.sync(() => void (handler = taken)),
        () => Effect.sync(() => void (handler = absent)),
      ),
  })
})

const ignore = (): void => {}

/** By the client's own fault. */
const failures: ReadonlySet<unknown> = new Set(
  [Code.InvalidArgument, Code.Unimplemented, Code.Internal, Code.PermissionDenied].map(String),
)

/** A token that ends, or is revoked, is no guess. */
const isGuess = (status: unknown, message: unknown): boolean =>
  status === String(Code.Unauthenticated) && /^TOKEN_(MISSING|INVALID)/.test(String(message))

const isFailure = ({ sentHeaders, sentTrailers }: ServerHttp2Stream): boolean => {
  const { "grpc-message": message, "grpc-status": status } = sentTrailers ?? {}
  return failures.has(status) || isGuess(status, message) || sentHeaders?.[":status"] === 415
}
