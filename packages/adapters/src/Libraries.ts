/**
 * The client libraries of the stores. They are optional peer dependencies of this package, and an application installs
 * those of the stores that it uses. A module that needs one is therefore imported when it is used, by `load`.
 */
import { readFileSync } from "node:fs"
import { Effect, Predicate, Schema } from "effect"
import { LibraryMissing } from "./Errors.ts"

/** For each store, which is a folder of this package, the libraries that it imports. */
export const libraries = {
  dynamodb: ["@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"],
  http: ["standardwebhooks"],
  kafka: ["kafkajs", "lz4-napi", "snappy", "@node-rs/crc32"],
  lmdb: ["lmdb"],
  pglite: ["@electric-sql/pglite", "@effect/sql-pg"],
  postgres: ["@effect/sql-pg"],
  redis: ["ioredis", "@socket.io/redis-streams-adapter"],
  tokens: ["jose"],
} as const

/** A store whose client library the application installs. */
export type Store = keyof typeof libraries

/** Imports a module that needs the libraries of these stores, or fails with the command that installs them. */
export const load = <A>(stores: ReadonlyArray<Store>, module: () => Promise<A>): Effect.Effect<A, LibraryMissing> =>
  Effect.tryPromise({ try: module, catch: (cause) => cause }).pipe(
    Effect.catch((cause) => (isMissing(stores, cause) ? Effect.fail(missing(stores, cause)) : Effect.die(cause))),
  )

const packagesOf = (stores: ReadonlyArray<Store>): ReadonlyArray<string> => [
  ...new Set<string>(stores.flatMap((store) => libraries[store])),
]

/** Node names the package only in the message. */
const isMissing = (stores: ReadonlyArray<Store>, cause: unknown): cause is Error =>
  cause instanceof Error &&
  Predicate.hasProperty(cause, "code") &&
  cause.code === "ERR_MODULE_NOT_FOUND" &&
  packagesOf(stores).some((name) => cause.message.includes(`'${name}'`))

const missing = (stores: ReadonlyArray<Store>, cause: Error) =>
  new LibraryMissing({
    stores,
    packages: packagesOf(stores).map((name) => `${name}@${wantedVersion(name)}`),
    cause,
  })

const Manifest = Schema.fromJsonString(Schema.Struct({ peerDependencies: Schema.Record(Schema.String, Schema.String) }))

/** The versions of a library with which this package works. */
export const wantedVersion = (name: string): string =>
  Schema.decodeUnknownSync(Manifest)(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
    .peerDependencies[name] ?? "latest"
