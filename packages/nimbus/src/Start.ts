/** `nimbus start`: runs the server until a signal, and says where it is and what to type next. */
import { httpConfig } from "@nimbus/gateway"
import { Config, Console, Effect, Layer } from "effect"
import * as Shutdown from "./Shutdown.ts"

const data = Config.String("NIMBUS_DATA").pipe(Config.withDefault("./data"))

const banner = Effect.gen(function* () {
  const { host, port } = yield* httpConfig
  yield* Console.log(`Nimbus is running, all of it in this process; its data is in ${yield* data}

  WebSocket   ws://${host}:${port}/v1/stream?clientId=you
  HTTP        http://${host}:${port}/healthz, /readyz, /metrics

Now, in another terminal:
  npm run nimbus -- client --client_id=you --start=1 --end=10
  npm run nimbus -- demo
`)
})

/** `server`: the embedded server on its stores. */
export const start = <E, R>(server: Layer.Layer<never, E, R>) =>
  Layer.effectDiscard(banner).pipe(Layer.provide(server), Layer.provide(Shutdown.layer), Layer.launch)
