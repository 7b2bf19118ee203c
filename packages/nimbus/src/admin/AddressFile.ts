/**
 * Where the server of a data directory is: `admin.json` there, for as long as it runs, so that a command that finds the
 * directory taken asks whoever has taken it.
 *
 * A server that was killed leaves it behind. So it names the pod as well, which is fresh per process: whoever reads it
 * asks whether that pod is still there.
 */
import { join } from "node:path"
import { PodId } from "@nimbus/domain"
import { AdminAccess, Delivery, httpConfig } from "@nimbus/gateway"
import { Effect, FileSystem, Layer, Option, Schema } from "effect"
import { HttpServer } from "effect/http"
import * as Settings from "../Settings.ts"

const Address = Schema.Struct({ url: Schema.NonEmptyString, pod: PodId })
export type Address = typeof Address.Type

const json = Schema.fromJsonString(Address)
const encode = Schema.encodeEffect(json)
const decode = Schema.decodeOption(json)

const fileIn = (directory: string): string => join(directory, "admin.json")

/** Written once the server listens, removed when it stops; not where the server has no admin API to be asked by. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { host } = yield* httpConfig
    if (Option.isNone(AdminAccess.orLoopback(yield* AdminAccess.config, host))) return
    const directory = yield* Settings.data
    const files = yield* FileSystem.FileSystem
    const { pod } = yield* Delivery
    const url = reachable(HttpServer.formatAddress((yield* HttpServer.HttpServer).address))
    const file = fileIn(directory)
    const text = yield* Effect.orDie(encode({ url, pod }))
    // Whole or not at all, for whoever reads it meanwhile.
    const write = Effect.andThen(files.writeFileString(`${file}.new`, text), files.rename(`${file}.new`, file))
    yield* Effect.acquireRelease(write, () => Effect.ignore(files.remove(file)))
  }),
)

/** What stands there, if anything of ours does. */
export const read = (directory: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    files.readFileString(fileIn(directory)).pipe(Effect.option, Effect.map(Option.flatMap((text) => decode(text)))),
  )

/** One that this machine reaches: a server that listens on all of its addresses is there at its own, too. */
const reachable = (url: string): string => url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
