/**
 * The HTTP server of a pipeline process. It listens before the services are there that the answers need: meanwhile
 * `/healthz` is answered 200, for the process is alive, and everything else 503.
 */
import { createServer, type RequestListener } from "node:http"
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Schedule } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import * as Health from "./Health.ts"

export const layerWith = (options: { readonly host: string; readonly port: number }) =>
  NodeHttpServer.layer(() => {
    const server = createServer()
    const early: RequestListener = ({ url }, response) => {
      if (server.listenerCount("request") > 1) return
      if (url === "/healthz") response.writeHead(200).end("ok\n")
      else response.writeHead(503, { "retry-after": "1" }).end("not ready: starting or stopping\n")
    }
    return server.on("request", early)
  }, options)

/** The answers, for as long as this stands. */
export const answers = HttpRouter.serve(Health.layer, { disableLogger: true, disableListenLog: true })

/** Between two looks whether the process is ready. */
const look_ms = 250

/** One line in the log once the process is ready. */
export const announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
    yield* Health.missing.pipe(
      Effect.repeat({ until: (parts) => parts.length === 0, schedule: Schedule.spaced(look_ms) }),
      Effect.andThen(Effect.logInfo(`ready: health and metrics on ${http}`)),
      Effect.forkScoped,
    )
  }),
)
