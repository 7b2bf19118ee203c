/**
 * `nimbus demo`: a story with an embedded server and three clients, which ends with a table of counts.
 *
 * It has a server of its own, on any free port of this machine, so that it runs beside `nimbus start`. All that it keeps
 * is in `<data>/demo`: the server's data in `server`, the journals of its clients in `clients`. A run goes on from what
 * the runs before have left there, however they ended.
 */
import { join } from "node:path"
import type { EventLog, Mailbox } from "@nimbus/domain/services"
import { Config, Console, Effect, type Layer, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { FetchHttpClient, type HttpServer } from "effect/http"
import * as Settings from "../Settings.ts"

const directory = Config.map(Settings.data, (data) => join(data, "demo"))

/** Where the demo's server keeps its data. */
export const serverDirectory = Config.map(directory, (directory) => join(directory, "server"))

const flags = {
  events: Flag.Int("events").pipe(
    Flag.withDescription("How many numbers each of the three clients sends, 10 to 100000"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 100_000 }))),
    Flag.withDefault(2_000),
  ),
}

/** `server`: an embedded server with its data in `serverDirectory`, at any free port. */
export const command = <E, R>(server: Layer.Layer<EventLog | Mailbox | HttpServer.HttpServer, E, R>) =>
  Command.make(
    "demo",
    flags,
    Effect.fn("DemoCommand")(function* ({ events }) {
      const at = yield* directory
      yield* Effect.gen(function* () {
        const { tell } = yield* Effect.promise(() => import("./Story.ts"))
        const url = yield* (yield* Effect.promise(() => import("../Nimbus.ts"))).url
        yield* Console.log(`A server of the demo's own is at ${url}; what is kept is in ${at}`)
        yield* tell({ events, directory: join(at, "clients"), url })
      }).pipe(Effect.provide([server, FetchHttpClient.layer]))
    }),
  ).pipe(
    Command.withDescription("Three clients send, one is cut off, comes back and misses nothing: watch, and count."),
  )
