/**
 * The HTTP server that all transports of a gateway share, and where it listens.
 *
 * It stands below the transports, so that on the way down they leave first and the port is closed last. What it reads
 * of its clients, and what the transports read of theirs, is shared by all: `FairReading`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Config, Effect, Layer, Option } from "effect"
import { HttpServer } from "effect/http"
import type { AddressOptions } from "../addresses/Addresses.ts"
import { FairReading } from "../sockets/FairReading.ts"
import { Timers } from "../sockets/Timers.ts"
import { Limits } from "../Limits.ts"
import { config as admissionConfig, rulesAt } from "./AdmissionSettings.ts"
import { UpgradeServer } from "./UpgradeServer.ts"

/** Where the HTTP server listens, and who may ask. */
export interface HttpOptions extends AddressOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Other origins whose pages may use everything but the admin API; `*`: all. Default: none. */
  readonly origins?: ReadonlyArray<string>
  /** TLS at both ports, with the certificate in this directory: see `NIMBUS_TLS`. Default: none. */
  readonly tls?: string | undefined
  /** The names that it is asked by, beside those of loopback. Default: any, but none at a loopback address. */
  readonly hosts?: ReadonlyArray<string>
}

/** Where it listens, from the environment: `NIMBUS_HOST` (127.0.0.1) and `NIMBUS_HTTP_PORT` (3000). */
export const httpConfig = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("NIMBUS_HTTP_PORT").pipe(Config.withDefault(3000)),
})

const tlsConfig = Config.option(Config.NonEmptyString("NIMBUS_TLS"))

/** Where it listens, and who may ask. */
export const config = Config.map(Config.all([httpConfig, admissionConfig, tlsConfig]), ([address, admission, tls]) => ({
  ...address,
  ...admission,
  tls: Option.getOrUndefined(tls),
}))

export const layerWith = (options: HttpOptions) =>
  cutLast.pipe(
    Layer.provideMerge(listening(options)),
    Layer.provideMerge(UpgradeServer.layerWith(rulesAt(options.host, options))),
    Layer.provideMerge(FairReading.layer),
    Layer.provide(Timers.layer),
  )

const listening = ({ host, port }: HttpOptions) =>
  Layer.unwrap(
    Effect.map(UpgradeServer, ({ server }) =>
      NodeHttpServer.layer(() => server, {
        host,
        port,
        // Sockets are closed by the delivery core, after the transports have drained; the port waits for them below it.
        disablePreemptiveShutdown: true,
      }),
    ),
  )

/**
 * On the way down, requests under way have `close_ms` to end. A client that has not asked by then, a connection opened
 * in advance or a request half sent, would hold up the port until it gives up on its own.
 */
const cutLast = Layer.effectDiscard(
  Effect.gen(function* () {
    const { server } = yield* UpgradeServer
    const { close_ms } = yield* Limits
    const timers = yield* Timers
    yield* Effect.addFinalizer(() => Effect.sync(() => void timers.after(close_ms, () => server.closeAllConnections())))
  }),
)

/** From the environment. */
export const layer = Layer.unwrap(Effect.map(config, layerWith))

/** Where it is asked, as `https://host:port` or `http://…`. */
export const url = Effect.gen(function* () {
  const server = yield* Effect.serviceOption(UpgradeServer)
  const http = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
  return Option.isSome(server) && server.value.isEncrypted ? http.replace(/^http:/, "https:") : http
})

/** What a front provides. */
export type Front = Layer.Success<ReturnType<typeof layerWith>>
