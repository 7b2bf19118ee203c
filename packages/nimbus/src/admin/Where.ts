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
import type { StoreMismatch, UnknownTopic } from "@nimbus/domain/errors"
import type { EventLog, Mailbox, PodChannel, Registry, Topics } from "@nimbus/domain/services"
import { Operations } from "@nimbus/domain/admin"
import { AdminAccess } from "@nimbus/gateway/admin"
import { type Config, Console, Effect, FileSystem, Layer, Option, type PlatformError, Predicate } from "effect"
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

/** Whether it is a cluster's own services that are asked. */
export const asksCluster = ({ cluster, url }: Asked) =>
  Effect.map(Settings.adminUrl, (server) => cluster && Option.isNone(url) && Option.isNone(server))

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
        if (cluster) return Layer.provide((yield* direct).layer, stores.cluster)
        const directory = yield* Settings.data
        const running = yield* serverOf(directory, token)
        if (Option.isSome(running)) return Remote.layerWith({ url: running.value, token })
        if (!(yield* (yield* FileSystem.FileSystem).exists(directory))) return yield* new NoData({ directory })
        return (yield* direct).closed(stores.embedded).pipe(
          Layer.tap(() => Console.error(`no server runs on ${directory}: its stores are read directly`)),
          Layer.tapError((error) =>
            isTaken(error)
              ? Console.error(
                  `a program has ${directory} open, and no admin API to ask it by: name its server by --url`,
                )
              : Effect.void,
          ),
        )
      }),
    )

const isTaken = (error: unknown): boolean =>
  Predicate.hasProperty(error, "code") && error.code === "DATA_DIRECTORY_IN_USE"

/** Loaded where no server answers: it is most of a gateway. */
const direct = Effect.promise(() => import("./Direct.ts"))

/** The server that the directory names, if it is still that one. One that refuses to answer is there. */
const serverOf = Effect.fnUntraced(function* (directory: string, token: Remote.Server["token"]) {
  const address = yield* AddressFile.read(directory)
  if (Option.isNone(address)) return Option.none()
  const { pod, url } = address.value
  const isThere = yield* Operations.use(({ status }) => status()).pipe(
    Effect.map((status) => status.pod === pod),
    Effect.catchTags({
      Unauthorized: () => Effect.succeed(true),
      RoleMissing: () => Effect.succeed(true),
      TooManyLogins: () => Effect.succeed(true),
      LoginUnavailable: () => Effect.succeed(true),
    }),
    Effect.catch(() => Effect.succeed(false)),
    Effect.provide(Remote.layerWith({ url, token })),
  )
  return isThere ? Option.some(url) : Option.none()
})
