/**
 * Where results and chat messages are archived, as `NIMBUS_STORAGE` says: in PostgreSQL, in DynamoDB, in both, or
 * nowhere. Without a store there is no `Archive`, and code that works without one checks whether there is one. The
 * client library of a store is imported only if the store is used.
 */
import { Archive, archiveInAll, type ArchiveShape } from "@nimbus/domain/services"
import { Config, Context, Effect, Layer, Schema, type Scope } from "effect"
import { config as dynamoConfig, type DynamoSettings } from "./dynamodb/Settings.ts"
import type {
  DynamoRefused,
  DynamoUnavailable,
  LibraryMissing,
  PostgresRefused,
  PostgresTlsFailed,
  PostgresUnavailable,
} from "./Errors.ts"
import { config as postgresConfig, type PostgresSettings } from "./postgres/Settings.ts"
import { load } from "./Libraries.ts"

/** The stores in use, each with its settings. */
export interface StorageSettings {
  readonly postgres?: PostgresSettings
  readonly dynamodb?: DynamoSettings
  /** Its directory. */
  readonly pglite?: string
}

type StoreName = keyof StorageSettings

const namesOf = (text: string): ReadonlyArray<string> => (text === "none" ? [] : text.split(","))

const namesIn = (known: ReadonlyArray<StoreName>) =>
  Schema.String.check(
    Schema.makeFilter<string>(
      (text) =>
        namesOf(text).every((name) => known.some((one) => one === name)) ||
        `must be none, or some of ${known.join(",")}`,
    ),
  )

const settingsOf = (
  names: ReadonlyArray<string>,
  pglite: Config.Config<string> | undefined,
): Config.Config<StorageSettings> => {
  const where = <A>(name: StoreName, config: Config.Config<A> | undefined) =>
    config !== undefined && names.includes(name)
      ? Config.map(config, (value) => ({ [name]: value }))
      : Config.succeed({})
  return Config.map(
    Config.all([where("postgres", postgresConfig), where("dynamodb", dynamoConfig), where("pglite", pglite)]),
    (parts): StorageSettings => Object.assign({}, ...parts),
  )
}

const configOf = (known: ReadonlyArray<StoreName>, usual: string, pglite?: Config.Config<string>) =>
  Config.schema(namesIn(known), "NIMBUS_STORAGE").pipe(
    Config.withDefault(usual),
    Config.flatMap((text) => settingsOf(namesOf(text), pglite)),
  )

/** The settings of a cluster. */
export const config: Config.Config<StorageSettings> = configOf(["postgres", "dynamodb"], "none")

/** The settings of the embedded server, whose own store is in this directory. */
export const embeddedConfig = (directory: Config.Config<string>): Config.Config<StorageSettings> =>
  configOf(["postgres", "dynamodb", "pglite"], "pglite", directory)

type StorageFailure =
  | LibraryMissing
  | PostgresRefused
  | PostgresTlsFailed
  | PostgresUnavailable
  | DynamoRefused
  | DynamoUnavailable

/** Provides `Archive` if there is a store. Its type does not say so, because there may be none. */
export const layerWith = (settings: StorageSettings) => Layer.effectContext(make(settings))

const make = Effect.fnUntraced(function* ({ dynamodb, pglite, postgres }: StorageSettings) {
  const layers: ReadonlyArray<Layer.Layer<Archive, StorageFailure>> = [
    ...(postgres === undefined ? [] : [inPostgres(postgres)]),
    ...(dynamodb === undefined ? [] : [inDynamo(dynamodb)]),
    ...(pglite === undefined ? [] : [inPglite(pglite)]),
  ]
  const [first, ...others] = yield* Effect.forEach(layers, built)
  return first === undefined
    ? Context.empty()
    : Context.make(Archive, others.length === 0 ? first : archiveInAll([first, ...others]))
})

const inPostgres = (settings: PostgresSettings) =>
  Layer.unwrap(
    Effect.map(
      load(["postgres"], () => import("./postgres/index.ts")),
      ({ PostgresArchive, PostgresDatabase }) =>
        PostgresArchive.layer.pipe(Layer.provide(PostgresDatabase.layerWith(settings))),
    ),
  )

const inDynamo = (settings: DynamoSettings) =>
  Layer.unwrap(
    Effect.map(
      load(["dynamodb"], () => import("./dynamodb/index.ts")),
      ({ DynamoArchive, DynamoDatabase }) =>
        DynamoArchive.layer.pipe(Layer.provide(DynamoDatabase.layerWith(settings))),
    ),
  )

const inPglite = (directory: string) =>
  Layer.unwrap(
    Effect.map(
      load(["pglite"], () => import("./pglite/index.ts")),
      ({ PgliteArchive }) => PgliteArchive.layerWith(directory),
    ),
  )

const built = <E>(layer: Layer.Layer<Archive, E>): Effect.Effect<ArchiveShape, E, Scope.Scope> =>
  Effect.map(Layer.build(layer), (services) => Context.get(services, Archive))
