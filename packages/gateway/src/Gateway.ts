/**
 * A gateway: the delivery core, its HTTP server, and the doors. Needs the services of `@nimbus/domain` from the
 * environment: EventLog, Topics, Registry, Mailbox, PodChannel, AckChannel.
 *
 * On the way down the layers close in this order: doors (take nothing more, wait for the log), core (close sessions,
 * write presences, trim, give back the lease), port.
 */
import { Publisher } from "@nimbus/domain"
import { Config, Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import * as ChatDoor from "./chat/ChatDoor.ts"
import * as Cors from "./chat/Cors.ts"
import { Delivery } from "./delivery/Delivery.ts"
import * as GrpcDoor from "./grpc/GrpcDoor.ts"
import { grpcConfig, type GrpcOptions, GrpcServer } from "./grpc/GrpcServer.ts"
import * as Health from "./http/Health.ts"
import * as HttpFront from "./http/HttpFront.ts"
import * as Messages from "./http/Messages.ts"
import * as Queries from "./http/Queries.ts"
import { Limits } from "./Limits.ts"
import { Pod } from "./Pod.ts"
import * as WebSocketDoor from "./websocket/WebSocketDoor.ts"

const routes = HttpRouter.serve(Layer.mergeAll(Health.layer, Messages.layer, Queries.layer, WebSocketDoor.routes), {
  disableLogger: true,
  disableListenLog: true,
}).pipe(Layer.provide(Publisher.layer))

/** Where a gateway listens. */
export interface Addresses extends HttpFront.HttpOptions {
  /** The gRPC door. Default: any free port of the same host. */
  readonly grpc?: GrpcOptions
}

/** The doors and the core, where they listen. */
const onFront = ({ grpc, ...http }: Addresses) => {
  const front = Layer.merge(HttpFront.layerWith(http), GrpcServer.layerWith(grpc ?? { host: http.host, port: 0 }))
  return Layer.mergeAll(WebSocketDoor.layer, ChatDoor.layer, GrpcDoor.layer, routes).pipe(
    Layer.provideMerge(Delivery.layer),
    Layer.provide(Pod.layer),
    Layer.provideMerge(front),
  )
}

/** All that the environment says of a gateway: see docs/configuration.md. */
export const config = Config.map(
  Config.all({ address: HttpFront.httpConfig, grpc: grpcConfig, limits: Limits.config, corsOrigins: Cors.config }),
  ({ address, ...rest }) => ({ ...address, ...rest }),
)

/** From the environment. */
export const layer = Layer.unwrap(Effect.map(config, (options) => layerWith(options)))

/** At these addresses, and otherwise from the environment. */
export const layerAt = ({ grpc, ...http }: Addresses) =>
  Layer.unwrap(
    Effect.map(config, (options) =>
      layerWith({ ...options, ...http, grpc: grpc ?? { ...options.grpc, host: http.host, port: 0 } }),
    ),
  )

/** Without the environment. */
export const layerWith = (
  options: Addresses & {
    readonly limits?: Parameters<typeof Limits.layerWith>[0]
    readonly corsOrigins?: ReadonlyArray<string> | undefined
  },
) => onFront(options).pipe(Layer.provide([Limits.layerWith(options.limits ?? {}), Cors.layerWith(options.corsOrigins)]))
