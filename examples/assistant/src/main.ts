/**
 * The page of the assistant on http://127.0.0.1:4000, and the processes behind it: a gateway, a pipeline and a worker of
 * tasks, on the Kafka and Redis of the environment. Each is a process of its own, so that the page can have it killed.
 */
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Config, Effect, Layer, Ref, Schedule } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { ChildProcess } from "effect/process"

const host = "127.0.0.1"
const ports = Config.all({
  page: Config.Port("PORT").pipe(Config.withDefault(4_000)),
  gateway: Config.Port("GATEWAY_PORT").pipe(Config.withDefault(4_001)),
  pipeline: Config.Port("PIPELINE_PORT").pipe(Config.withDefault(4_002)),
  worker: Config.Port("WORKER_PORT").pipe(Config.withDefault(4_003)),
})

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Runs a command, and another one whenever it ends. Returns what kills it: `kill -9`. */
const immortal = Effect.fnUntraced(function* (command: string, env: Readonly<Record<string, string>>) {
  const kill = yield* Ref.make<Effect.Effect<unknown>>(Effect.void)
  const live = Effect.gen(function* () {
    const process = yield* ChildProcess.make(file(`../node_modules/.bin/${command}`), [], {
      env,
      extendEnv: true,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "inherit",
    })
    yield* Ref.set(kill, Effect.ignore(process.kill({ killSignal: "SIGKILL" })))
    yield* process.exitCode
  })
  yield* live.pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.logError(`${command} can't be run`, error)),
    Effect.repeat(Schedule.spaced("250 millis")),
    Effect.forkScoped,
  )
  return Effect.flatten(Ref.get(kill))
})

const pipelineRoles = "event-consumer,result-consumer,replay-consumer,status-manager"

const routes = Effect.gen(function* () {
  const { gateway, page, pipeline, worker } = yield* ports
  const handlers = { NIMBUS_HANDLERS: file("handlers.ts"), NIMBUS_PORT: "0" }
  const kills = {
    gateway: yield* immortal("nimbus-gateway", {
      NIMBUS_HTTP_PORT: `${gateway}`,
      NIMBUS_PORT: "0",
      NIMBUS_ORIGINS: `http://${host}:${page}`,
    }),
    pipeline: yield* immortal("nimbus-pipeline", {
      ...handlers,
      NIMBUS_PIPELINE_HTTP_PORT: `${pipeline}`,
      NIMBUS_ROLES: pipelineRoles,
    }),
    worker: yield* immortal("nimbus-pipeline", {
      ...handlers,
      NIMBUS_PIPELINE_HTTP_PORT: `${worker}`,
      NIMBUS_ROLES: "task-worker",
    }),
  }
  return Layer.mergeAll(
    HttpRouter.add("GET", "/", HttpServerResponse.file(file("page.html"))),
    HttpRouter.add("GET", "/gateway", HttpServerResponse.jsonUnsafe(`http://${host}:${gateway}`)),
    ...Object.entries(kills).map(([name, kill]) =>
      HttpRouter.add("POST", `/kill/${name}`, Effect.as(kill, HttpServerResponse.empty())),
    ),
  )
})

const server = Layer.unwrap(Effect.map(ports, ({ page: port }) => NodeHttpServer.layer(createServer, { host, port })))

HttpRouter.serve(Layer.unwrap(routes)).pipe(
  Layer.provide(server),
  Layer.provide(NodeServices.layer),
  Layer.launch,
  NodeRuntime.runMain,
)
