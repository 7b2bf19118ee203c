/** `nimbus start`: runs the server until a signal, and says where it is and what to type next. */
import { AdminPlace, GrpcServer, httpConfig } from "@nimbus/gateway"
import { Locked } from "@nimbus/domain/services"
import { Console, Effect, Layer } from "effect"
import * as Settings from "./Settings.ts"

/** How the command is called here: by npm in the workspace, which runs the sources, and elsewhere where it is installed. */
const nimbus = import.meta.url.endsWith(".ts") ? "npm run nimbus --" : "npx --no nimbus"

const banner = Effect.gen(function* () {
  const { host, port } = yield* httpConfig
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`
  const grpc = yield* GrpcServer
  const [http, ws] = grpc.isEncrypted ? ["https", "wss"] : ["http", "ws"]
  const operators = yield* AdminPlace
  const page = operators.hasPage ? `${operators.url}/` : "none: set NIMBUS_ADMIN_TOKEN, or listen on 127.0.0.1"
  const addr = `${ws}://${at}` === "ws://127.0.0.1:3000" ? "" : ` --addr=${ws}://${at}`
  const token = (yield* Locked.firstIssuer) === undefined ? "" : " --token=<token>"
  yield* Console.log(`Nimbus is running, all of it in this process; its data is in ${yield* Settings.data}

  Page        ${page}
  WebSocket   ${ws}://${at}/v1/stream?clientId=you
  Chat        ${http}://${at}/socket.io/ (Socket.IO; auth.room names the room)
  gRPC        ${host}:${grpc.port}${grpc.isEncrypted ? " by TLS" : ""}, service nimbus.NimbusService (another port: NIMBUS_PORT)
  HTTP        ${http}://${at}/healthz, /readyz, /metrics (another port: NIMBUS_HTTP_PORT)

Now, in another terminal:
  ${nimbus} client --client_id=you --start=1 --end=10${addr}${token}
  ${nimbus} status
  ${nimbus} demo
`)
})

/** `server`: the embedded server on its stores, and what must stand below it. */
export const start = <E, R>(server: Layer.Layer<GrpcServer | AdminPlace, E, R>) =>
  Layer.effectDiscard(banner).pipe(Layer.provide(server), Layer.launch)
