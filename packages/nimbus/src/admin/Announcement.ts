/** The server's side of `AddressFile`: it says there where it is, for as long as it runs. */
import { AdminPlace, Delivery } from "@nimbus/gateway"
import { Effect, FileSystem, Layer } from "effect"
import * as Settings from "../Settings.ts"
import * as AddressFile from "./AddressFile.ts"

/** Written once the server listens, removed when it stops; not where the server has no admin API to be asked by. */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const place = yield* AdminPlace
    if (place.url === undefined) return
    const directory = yield* Settings.data
    const files = yield* FileSystem.FileSystem
    const { pod } = yield* Delivery
    const url = reachable(place.url)
    const file = AddressFile.fileIn(directory)
    const text = yield* Effect.orDie(AddressFile.encode({ url, pod }))
    // Complete or not at all, for a concurrent reader.
    const write = Effect.andThen(files.writeFileString(`${file}.new`, text), files.rename(`${file}.new`, file))
    yield* Effect.acquireRelease(write, () => Effect.ignore(files.remove(file)))
  }),
)

/** One that this machine reaches: a server that listens on all of its addresses is there at its own, too. */
const reachable = (url: string): string => url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
