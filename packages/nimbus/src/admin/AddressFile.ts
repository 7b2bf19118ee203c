/**
 * Where the server of a data directory is: `admin.json` there, for as long as it runs, so that a command that finds the
 * directory taken queries the process that has taken it.
 *
 * A server that was killed leaves it behind. So it names the pod as well, which is fresh per process: a process that
 * reads it asks whether that pod is still there.
 */
import { join } from "node:path"
import { PodId } from "@nimbus/domain/admin"
import { Effect, FileSystem, Option, Schema } from "effect"

const Address = Schema.Struct({ url: Schema.NonEmptyString, pod: PodId })
export type Address = typeof Address.Type

const json = Schema.fromJsonString(Address)
export const encode = Schema.encodeEffect(json)
const decode = Schema.decodeOption(json)

/** Where it is. */
export const fileIn = (directory: string): string => join(directory, "admin.json")

/** What stands there, if anything of ours does. */
export const read = (directory: string) =>
  Effect.flatMap(FileSystem.FileSystem, (files) =>
    files.readFileString(fileIn(directory)).pipe(Effect.option, Effect.map(Option.flatMap((text) => decode(text)))),
  )
