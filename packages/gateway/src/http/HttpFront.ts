/**
 * The HTTP server that all doors of a gateway share, and where it listens.
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
}

export const httpConfig = Config.all({
  host: Config.NonEmptyString("NIMBUS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.Port("NIMBUS_HTTP_PORT").pipe(Config.withDefault(3000)),
})

export const layerWith = ({ host, port }: HttpOptions) =>
  Layer.unwrap(
    Effect.map(UpgradeServer, ({ server }) =>
      NodeHttpServer.layer(() => server, {
        host,
        port,
        // Sockets are closed by the delivery core, after the doors have drained; the port waits for them below it.
        disablePreemptiveShutdown: true,
      }),
    ),
  ).pipe(Layer.provideMerge(UpgradeServer.layer))

/** From `NIMBUS_HOST` and `NIMBUS_HTTP_PORT`. */
export const layer = Layer.unwrap(Effect.map(httpConfig, layerWith))

/** What a front provides. */
export type Front = Layer.Success<ReturnType<typeof layerWith>>
