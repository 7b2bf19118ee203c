/**
 * The gRPC transport: `nimbus.NimbusService` with its one bidirectional stream, health and reflection.
 *
 * `ProcessEvent` is served directly on its HTTP/2 stream. Through the router of a library every message costs a promise or
 * two, and the server can't tell what has arrived (docs/grpc.md has the figures). The unary and small services use the
 * router of Connect.
 *
 * On shutdown it accepts no calls, stops reading, and waits (bounded) until the log has what it took. Then the delivery
 * core ends every call with UNAVAILABLE.
 */
import { type Http2ServerRequest, Http2ServerResponse } from "node:http2"
import { Code } from "@connectrpc/connect"
import { connectNodeAdapter } from "@connectrpc/connect-node"
import { Trace } from "@nimbus/domain/observability"
import { type ClientId, closeCodes, start } from "@nimbus/domain/protocol"
import { RandomIds } from "@nimbus/domain/services"
import { Clock, Effect, FiberSet, Layer, Random, Result, Schedule } from "effect"
import { Access, type From, type Shown } from "../access/Access.ts"
import { Delivery } from "../delivery/Delivery.ts"
import { missing } from "../delivery/Ready.ts"
import { bearerOf } from "../http/Carriers.ts"
import { isRefusal, refusalOf } from "../Transport.ts"
import { FairReading } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { Limits } from "../Limits.ts"
import { Call } from "./Call.ts"
import { isEncoding } from "./Compression.ts"
import { timeoutOf } from "./Deadline.ts"
import { NimbusService } from "./gen/nimbus_pb.js"
import { type CallHandler, GrpcServer } from "./GrpcServer.ts"
import { health } from "./Health.ts"
import { type Metadata, parseMetadata } from "./Metadata.ts"
import type { Peer } from "./Peer.ts"
import { reflection } from "./Reflection.ts"
import { answer, trailers, unimplemented } from "./Status.ts"

export const path = `/${NimbusService.typeName}/${NimbusService.method.processEvent.name}`

/** How often the answer of a health watch is looked at again. */
const health_ms = 1_000

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const access = yield* Access
    const delivery = yield* Delivery
    const limits = yield* Limits
    const reading = yield* FairReading
    const timers = yield* Timers
    const ids = yield* RandomIds
    const random = yield* Random.Random
    const server = yield* GrpcServer
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const calls = new Set<Call>()
    const newest = new Map<ClientId, Call>()
    const run = yield* FiberSet.makeRuntime<never>()
    const runMissing = Effect.runPromiseWith(yield* Effect.context<Effect.Services<typeof missing>>())
    const runExit = Effect.runPromiseExitWith(yield* Effect.context())
    let isLeaving = false

    /** What was sent in a call that ended well must not come again in the next, which may come before all is settled. */
    const settled = (clientId: ClientId, call: Call) =>
      Effect.suspend(() => {
        const before = newest.get(clientId)
        newest.set(clientId, call)
        void call.left.then(() => newest.get(clientId) === call && newest.delete(clientId))
        if (before?.isEnding !== true) return Effect.void
        return Effect.timeoutOption(
          Effect.promise(() => before.left),
          limits.close_ms,
        )
      })
    /** Who it is comes first: a call that is not let in takes nobody's turn. */
    const open = Effect.fnUntraced(function* (call: Call, metadata: Metadata, shown: Shown, from: From) {
      const { ack, after = start, client_id, journey, log } = metadata
      const autoAck = ack !== "client"
      const asked = { clientId: client_id, after, autoAck, reads: true, journey: journey === "true" }
      const admitted = yield* access.connect(asked, shown, from)
      yield* settled(admitted.clientId, call)
      return yield* delivery.open({ ...admitted, address: from.address, after, log, autoAck, transport: call })
    })

    const greet = (request: Http2ServerRequest, response: Http2ServerResponse, peer: Peer): void => {
      const encoding = String(request.headers["grpc-encoding"] ?? "identity")
      if (!isEncoding(encoding)) return refuse(response, "UNIMPLEMENTED", unimplemented(`no ${encoding} here`))
      const metadata = parseMetadata(request.headers, access.isOpen)
      if (Result.isFailure(metadata)) {
        return refuse(response, "BAD_REQUEST", trailers(Code.InvalidArgument, `BAD_REQUEST: ${metadata.failure}`))
      }
      const { ack, journey, notices } = metadata.success
      const options = {
        response,
        peer,
        acksByClient: ack === "client",
        follows: journey === undefined ? server.followsAll : journey === "true",
        // NimbusGRPC's server shows steps; what is within the budget costs nothing more.
        showsSteps: journey !== "false",
        notices: notices === "true",
        encoding,
        timeout_ms: timeoutOf(metadata.success["grpc-timeout"]),
        trace: Trace.headersFrom(request.headers[Trace.header]),
      }
      const call = new Call({ ...options, limits, reading, counts: delivery.counts, now, timers, ids, random })
      calls.add(call)
      response.stream.once("close", () => calls.delete(call))
      const from = { address: server.addressOf(request), transport: call.name }
      run(
        Effect.match(open(call, metadata.success, shownIn(request, peer), from), {
          onSuccess: (handle) => call.attach(handle),
          onFailure: (error) => (isRefusal(error) ? call.deny(error) : call.close(refusalOf(error))),
        }),
      )
    }

    const refuse = (response: Http2ServerResponse, code: string, trailers: Readonly<Record<string, string>>): void => {
      delivery.counts.addTo("refused", code)
      answer(response, trailers)
    }

    const others = connectNodeAdapter({
      connect: false,
      grpcWeb: false,
      readMaxBytes: limits.frame_bytes,
      routes: (router) => {
        const isReady = async () => !isLeaving && (await runMissing(missing)).length === 0
        const pause = (signal: AbortSignal) => runExit(Effect.sleep(health_ms), { signal })
        health({ isReady, pause })(router)
        if (server.reflects) reflection(router)
      },
      fallback: (request, response) => {
        if (response instanceof Http2ServerResponse)
          refuse(response, "UNIMPLEMENTED", unimplemented(`no ${request.url} here`))
      },
    })

    const take: CallHandler = (request, response, peer) => {
      if (!isGrpc(request)) return refuseHttp(response)
      if (request.url === path) greet(request, response, peer)
      else others(request, response)
    }
    yield* server.handle(take)
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isLeaving = true
        for (const call of calls) call.pause()
        return delivery.drained
      }),
    )
    server.onRefused((code) => delivery.counts.addTo("refused", code))
    server.onProtocolError(() => delivery.counts.addTo("refused", "PROTOCOL_ERROR"))
    yield* Effect.sync(() => {
      const now_ms = now()
      for (const peer of server.peers()) {
        if (peer.check(now_ms, limits.idle_timeout_ms)) delivery.counts.addTo("refused", closeCodes.idle.reason)
      }
    }).pipe(Effect.repeat(Schedule.spaced(limits.idle_timeout_ms / 4)), Effect.forkScoped)
    yield* Effect.sync(() => {
      const now_ms = now()
      for (const call of calls) call.look(now_ms)
    }).pipe(Effect.repeat(Schedule.spaced(limits.auto_ack.look_ms)), Effect.forkScoped)
  }),
).pipe(Layer.provide(Timers.layer))

const shownIn = ({ headers: { authorization } }: Http2ServerRequest, { certificate }: Peer): Shown => ({
  token: bearerOf(authorization),
  certificate,
})

/** gRPC is a POST of its own content type; `application/grpc-web` is another protocol. */
const isGrpc = ({ headers, method }: Http2ServerRequest): boolean =>
  method === "POST" && /^application\/grpc(\+proto)?(;|$)/.test(headers["content-type"] ?? "")

const refuseHttp = (response: Http2ServerResponse): void => {
  response.writeHead(415, { "content-type": "text/plain" })
  response.end("this port speaks gRPC\n")
}
