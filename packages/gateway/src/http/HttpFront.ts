/**
 * The HTTP server that all doors of a gateway share: where it listens, and how long a shutdown may take.
 *
 * It stands below the doors, so that on the way down they leave first and the port is closed last.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { UpgradeServer } from "./UpgradeServer.ts"

export interface HttpOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly shutdown_timeout_sec: number
}

export const httpConfig = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("NIMBUS_HTTP_PORT").pipe(Config.withDefault(3000)),
  shutdown_timeout_sec: Config.Int("NIMBUS_SHUTDOWN_TIMEOUT_SEC").pipe(Config.withDefault(20)),
})

export const layerWith = ({ host, port, shutdown_timeout_sec }: HttpOptions) =>
  Layer.unwrap(
    Effect.map(UpgradeServer, ({ server }) =>
      NodeHttpServer.layer(() => server, {
        host,
        port,
        gracefulShutdownTimeout: `${shutdown_timeout_sec} seconds`,
      }),
    ),
  ).pipe(Layer.provideMerge(UpgradeServer.layer))

/** From `NIMBUS_HOST`, `NIMBUS_HTTP_PORT` and `NIMBUS_SHUTDOWN_TIMEOUT_SEC`. */
export const layer = Layer.unwrap(Effect.map(httpConfig, layerWith))

/** What a front provides. */
export type Front = Layer.Success<ReturnType<typeof layerWith>>
