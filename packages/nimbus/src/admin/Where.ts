/**
 * Whom a command asks, in this order:
 *
 * | told | asked |
 * | --- | --- |
 * | `--url`, or `NIMBUS_ADMIN_URL` | that server, by its admin API |
 * | `--cluster` | Kafka and the stores themselves, by the settings of a cluster's processes |
 * | nothing, and a server runs on the data directory | that server |
 * | nothing, and none does | the stores in the directory, which are this process's own meanwhile |
 */
import {
  claimMailboxes,
  type EventLog,
  type Mailbox,
  PodChannelMemory,
  RegistryMemory,
  Topics,
  type PodChannel,
  type Registry,
  type StoreMismatch,
  type UnknownTopic,
} from "@nimbus/domain"
import { NotPossible } from "@nimbus/domain/admin"
import { AdminAccess, Operations } from "@nimbus/gateway"
import { type Config, Console, Effect, FileSystem, Layer, Option, type PlatformError } from "effect"
import { Flag } from "effect/cli"
import { NoData } from "../Errors.ts"
import * as Settings from "../Settings.ts"
import * as AddressFile from "./AddressFile.ts"
import * as Remote from "./Remote.ts"

/** The flags that say whom to ask. */
export const flags = {
  url: Flag.String("url").pipe(
    Flag.withDescription("The server to ask, as http://host:port (NIMBUS_ADMIN_URL)"),
    Flag.optional,
  ),
  cluster: Flag.Boolean("cluster").pipe(
    Flag.withDescription("Read Kafka and the stores of a cluster themselves, by its settings"),
    Flag.withDefault(false),
  ),
}

export interface Asked {
  readonly url: Option.Option<string>
  readonly cluster: boolean
}

/** Stores that last, for a process that serves nobody. */
export interface Stores<E, E2> {
  /** In the data directory, which they take. */
  readonly embedded: Layer.Layer<EventLog | Mailbox, E, Topics>
  readonly cluster: Layer.Layer<EventLog | Mailbox | Registry | PodChannel | Topics, E2>
}

export const operations =
  <E, E2>(stores: Stores<E, E2>) =>
  ({ cluster, url }: Asked) =>
    Layer.unwrap(
      Effect.gen(function* (): Effect.fn.Return<
        Layer.Layer<Operations, E | E2 | StoreMismatch | UnknownTopic | Config.ConfigError>,
        Config.ConfigError | NoData | PlatformError.PlatformError,
        FileSystem.FileSystem
      > {
        const token = yield* AdminAccess.token
        const server = Option.isSome(url) ? url : yield* Settings.adminUrl
        if (Option.isSome(server)) return Remote.layerWith({ url: server.value, token })
        if (cluster) return Layer.provide(direct, stores.cluster)
        const directory = yield* Settings.data
        const running = yield* serverOf(directory, token)
        if (Option.isSome(running)) return Remote.layerWith({ url: running.value, token })
        if (!(yield* (yield* FileSystem.FileSystem).exists(directory))) return yield* new NoData({ directory })
        yield* Console.error(`no server runs on ${directory}: its stores are read directly`)
        return closed(stores.embedded)
      }),
    )

/** On the stores themselves, which are bound to their log first, as every process does it. */
const direct = Layer.effectDiscard(claimMailboxes).pipe(Layer.provideMerge(Operations.layer))

/** The stores of a server that does not run: nobody is connected to it. */
const closed = <E>(stores: Layer.Layer<EventLog | Mailbox, E, Topics>) =>
  Layer.effect(
    Operations,
    Effect.map(Operations, (operations) => ({
      ...operations,
      kick: () => Effect.fail(notRunning),
      drain: () => Effect.fail(notRunning),
    })),
  ).pipe(
    Layer.provide(direct),
    Layer.provide(Layer.mergeAll(stores, RegistryMemory.layerMemory(), PodChannelMemory.layerMemory())),
    Layer.provide(Topics.layer),
  )

const notRunning = new NotPossible({ message: "no server runs on this data, so nobody is connected" })

/** The server that the directory names, if it is still that one. One that refuses to answer is there. */
const serverOf = Effect.fnUntraced(function* (directory: string, token: Remote.Server["token"]) {
  const address = yield* AddressFile.read(directory)
  if (Option.isNone(address)) return Option.none()
  const { pod, url } = address.value
  const isThere = yield* Operations.use(({ status }) => status).pipe(
    Effect.map((status) => status.pod === pod),
    Effect.catchTags({ Unauthorized: () => Effect.succeed(true) }),
    Effect.catch(() => Effect.succeed(false)),
    Effect.provide(Remote.layerWith({ url, token })),
  )
  return isThere ? Option.some(url) : Option.none()
})
