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

/** The doors and the core on a given HTTP front. */
const onFront = <E, R>(front: Layer.Layer<HttpFront.Front, E, R>) =>
  Layer.mergeAll(WebSocketDoor.layer, ChatDoor.layer, routes).pipe(
    Layer.provideMerge(Delivery.layer),
    Layer.provide(Pod.layer),
    Layer.provideMerge(front),
  )

/** All that the environment says of a gateway: see docs/configuration.md. */
export const config = Config.map(
  Config.all({ address: HttpFront.httpConfig, limits: Limits.config, corsOrigins: Cors.config }),
  ({ address, ...rest }) => ({ ...address, ...rest }),
)

/** From the environment. */
export const layer = Layer.unwrap(Effect.map(config, (options) => layerWith(options)))

/** At this address, and otherwise from the environment. */
export const layerAt = (address: HttpFront.HttpOptions) =>
  Layer.unwrap(Effect.map(config, (options) => layerWith({ ...options, ...address })))

/** Without the environment. */
export const layerWith = (
  options: HttpFront.HttpOptions & {
    readonly limits?: Parameters<typeof Limits.layerWith>[0]
    readonly corsOrigins?: ReadonlyArray<string> | undefined
  },
) =>
  onFront(HttpFront.layerWith(options)).pipe(
    Layer.provide([Limits.layerWith(options.limits ?? {}), Cors.layerWith(options.corsOrigins)]),
  )
