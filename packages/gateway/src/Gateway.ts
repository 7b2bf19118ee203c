/**
 * A gateway: the delivery core, its HTTP server, and the transports. Needs the services of `@nimbus/domain` from the
 * environment: EventLog, Topics, Registry, Mailbox, PodChannel, AckChannel.
 *
 * On the way down the layers close in this order: transports (take nothing more, wait for the log), core (close
 * sessions, write presences, trim, give back the lease), port.
 */
import { Publisher } from "@nimbus/domain/services"
import { Config, Effect, Layer, Option } from "effect"
import { HttpRouter } from "effect/http"
import { Access } from "./access/Access.ts"
import * as Exposure from "./access/Exposure.ts"
import { Addresses } from "./addresses/Addresses.ts"
import * as Authorization from "./admin/Authorization.ts"
import { AdminPlace } from "./admin/AdminPlace.ts"
import { Operators } from "./admin/Operators.ts"
import * as SignIn from "./admin/SignIn.ts"
import * as Switches from "./admin/Switches.ts"
import * as ChatTransport from "./chat/ChatTransport.ts"
import * as OpenEvents from "./chat/OpenEvents.ts"
import * as Announcement from "./Announcement.ts"
import { Delivery } from "./delivery/Delivery.ts"
import * as GrpcTransport from "./grpc/GrpcTransport.ts"
import { grpcConfig, type GrpcOptions, GrpcServer } from "./grpc/GrpcServer.ts"
import * as Fallback from "./http/Fallback.ts"
import * as HttpFront from "./http/HttpFront.ts"
import { ReadBudget } from "./http/ReadBudget.ts"
import { Limits } from "./Limits.ts"
import * as Membership from "./Membership.ts"
import { Pod } from "./Pod.ts"
import { Subjects } from "./subjects/Subjects.ts"
import { Tls } from "./tls/Tls.ts"
import * as Routes from "./Routes.ts"
import * as WebSocketTransport from "./websocket/WebSocketTransport.ts"

/** What is sent to clients by HTTP is sampled on a budget as large as that of events. */
const publisher = Layer.unwrap(
  Effect.gen(function* () {
    const { journeys_per_second } = yield* Limits
    return Publisher.layerWith({ journeys_per_second, service: "gateway", instance: (yield* Pod).id })
  }),
)

const served = <E, R>(routes: Layer.Layer<never, E, R>) =>
  HttpRouter.serve(routes.pipe(Layer.provide(Fallback.layer)), {
    disableLogger: true,
    disableListenLog: true,
    routerConfig: Fallback.routerConfig,
  })

/** What a gateway answers by HTTP: at its own address, and what is for operators at another one if they have that. */
const routes = ({
  admin = Option.none(),
  operations: { at, metrics = true, page = true } = {},
  signIn,
  ...http
}: GatewayOptions) =>
  Layer.unwrap(
    Effect.map(Access, ({ isOpen }) => {
      const own = metrics ? (isOpen ? "all" : "viewers") : "none"
      if (at === undefined) {
        const all = served(Routes.layerWith({ metrics: own, admin: true, page }))
        return Layer.provideMerge(all, AdminPlace.layerWith({ page }))
      }
      // Routers and what is added to them are not shared with the other server.
      const apart = Layer.fresh(served(Routes.operationsWith({ metrics: metrics ? "all" : "none", admin: true, page })))
      return Layer.merge(
        served(Routes.layerWith({ metrics: "none", admin: false, page: false })),
        Layer.provideMerge(apart, AdminPlace.layerWith({ page })).pipe(
          Layer.provide(HttpFront.layerWith({ ...http, ...at, origins: [] })),
          Layer.provide(tls(http)),
        ),
      )
    }),
  ).pipe(Layer.provide([publisher, ReadBudget.layer, Operators.layerWith(admin), SignIn.SignIn.layerWith(signIn)]))

/** Where a gateway listens. */
export interface Places extends HttpFront.HttpOptions {
  /** The gRPC transport. Default: any free port of the same host. */
  readonly grpc?: GrpcOptions
  /** Whether it may listen beyond this machine without locks, open to everybody who reaches it. Default: no. */
  readonly insecure?: boolean
}

const tls = ({ tls }: HttpFront.HttpOptions) => (tls === undefined ? Layer.empty : Tls.layerWith(tls))

/** Where it listens, if it may. */
const front = ({ grpc, insecure, ...http }: Places) =>
  Layer.merge(HttpFront.layerWith(http), GrpcServer.layerWith(grpc ?? { host: http.host, port: 0 })).pipe(
    Layer.provideMerge(Addresses.layerWith(http)),
    Layer.provide([
      tls(http),
      Exposure.layerWith({ hosts: [http.host, ...(grpc === undefined ? [] : [grpc.host])], insecure }),
    ]),
  )

/** The transports and the core. */
const inside = (options: GatewayOptions) =>
  Layer.mergeAll(
    WebSocketTransport.layer,
    ChatTransport.layer,
    GrpcTransport.layer,
    routes(options),
    Membership.layer,
  ).pipe(
    Layer.provideMerge(Delivery.layer),
    Layer.provide(Subjects.layer),
    Layer.provide(Access.layer),
    Layer.provide(Pod.layer),
  )

/** All that the environment says of a gateway: see docs/configuration.md. The admin API is on where there is a token. */
export const config = Config.map(
  Config.all({
    address: HttpFront.config,
    grpc: grpcConfig,
    insecure: Exposure.insecureConfig,
    limits: Limits.config,
    openEvents: OpenEvents.config,
    admin: Authorization.config,
    operations: Switches.config,
    signIn: SignIn.config,
  }),
  ({ address, ...rest }) => ({ ...address, ...rest }),
)

/** Fails where the environment lets it listen on what it may not: for what stands below a gateway, to do nothing then. */
export const mayListen = Layer.effectDiscard(
  Effect.flatMap(config, ({ grpc, host, insecure }) => Exposure.check({ hosts: [host, grpc.host], insecure })),
)

/**
 * From the environment, for a process that is all of Nimbus: where there is no token and nobody else can reach it, the
 * admin API is open to this machine.
 */
export const layer = Layer.unwrap(
  Effect.map(config, (options) =>
    layerWith({
      ...options,
      admin: Authorization.orLoopback(options.admin, options.operations.at?.host ?? options.host),
    }),
  ),
)

/** Where it is asked by HTTP: `https://host:port`, or `http://…`. */
export { url } from "./http/HttpFront.ts"

/** The same at these addresses. */
export const layerAt = ({ grpc, ...http }: Places) =>
  Layer.unwrap(
    Effect.map(config, (options) =>
      layerWith({
        ...options,
        tls: undefined,
        // Another process has that address.
        operations: { ...options.operations, at: undefined },
        ...http,
        grpc: grpc ?? { ...options.grpc, host: http.host, port: 0 },
        admin: Authorization.orLoopback(options.admin, http.host),
      }),
    ),
  )

export interface GatewayOptions extends Places {
  readonly limits?: Parameters<typeof Limits.layerWith>[0]
  readonly openEvents?: Parameters<typeof OpenEvents.layerWith>[0]
  /** Who may use the admin API. Default: nobody, there is none. */
  readonly admin?: Option.Option<Authorization.Access>
  /** What of it is on, and where. Default: everything, at the same address. */
  readonly operations?: Switches.Switches
  /** The provider by which its page signs in. Default: by a token alone. */
  readonly signIn?: SignIn.SignInOptions | undefined
}

const settings = ({ limits = {}, openEvents }: GatewayOptions) =>
  Layer.merge(Limits.layerWith(limits), OpenEvents.layerWith(openEvents))

/** Without the environment. */
export const layerWith = (options: GatewayOptions) =>
  inside(options).pipe(Layer.provideMerge(front(options)), Layer.provide(settings(options)))

/**
 * The same on services that may take long to come up, as those of a cluster do: it listens before they are there, so that
 * `/healthz` tells that the process is alive while it waits, and logs one line once it is ready.
 */
export const layerOver = <A, E, R>(options: GatewayOptions, services: Layer.Layer<A, E, R>) =>
  Announcement.layer.pipe(
    Layer.provideMerge(inside(options)),
    Layer.provide(services),
    Layer.provideMerge(front(options)),
    Layer.provide(settings(options)),
  )
