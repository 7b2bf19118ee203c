/** One line in the log once a gateway is ready: who it is, and where it listens. */
import { Effect, Layer, Schedule } from "effect"
import { Delivery } from "./delivery/Delivery.ts"
import { missing } from "./delivery/Ready.ts"
import { GrpcServer } from "./grpc/GrpcServer.ts"
import { url } from "./http/HttpFront.ts"

/** Between two looks whether it is. */
const look_ms = 250

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { pod } = yield* Delivery
    const grpc = yield* GrpcServer
    const tls = grpc.isEncrypted ? " by TLS" : ""
    const line = Effect.logInfo(`ready: HTTP and WebSocket on ${yield* url}, gRPC on ${grpc.host}:${grpc.port}${tls}`)
    yield* missing.pipe(
      Effect.repeat({ until: (parts) => parts.length === 0, schedule: Schedule.spaced(look_ms) }),
      Effect.andThen(Effect.annotateLogs(line, { pod })),
      Effect.forkScoped,
    )
  }),
)
