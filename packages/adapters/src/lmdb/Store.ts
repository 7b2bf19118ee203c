/**
 * One LMDB environment in a data directory, which the log and the mailboxes of a single process share.
 *
 * ```
 *   commit(write) ─┐
 *   commit(write) ─┼─▶ queue ─▶ one transaction, one flush to disk ─▶ each commit returns
 *   commit(write) ─┘           (later writes go into the next)
 * ```
 *
 * 1. A commit succeeds once it is on disk: the data pages are flushed before the page that points at them, so a crash
 *    at any moment leaves the last transaction that was acknowledged, or a later one, whole.
 * 2. Writes run in the order of the `commit` calls, one after another, on this thread. Each sees those before it.
 * 3. If a write throws, its transaction is rolled back. The write fails alone, and the others run again.
 * 4. The queue is bounded by its callers, each of which waits for its own commit.
 *
 * The overlapping sync of LMDB is off, because it returns before the flush, and brought no measurable gain. Its
 * batching by turns of the event loop is off too. This queue does the same, and when a commit fails, as on a full disk,
 * that batching rejects a promise without a handler, which would end the process. The cost of leaving it out was too
 * small to measure on a busy machine: with 100 clients, in results per second, off 16,171, on 11,687, on 20,419, off
 * 12,644.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { join, resolve } from "node:path"
import { Config, Context, Effect, Layer, Predicate, type Scope } from "effect"
import { type Database, open, type RootDatabase } from "lmdb"
import { DataDirectoryCorrupt, type DataDirectoryInUse, StorageUnavailable } from "../Errors.ts"
import { lmdbLimits } from "../Limits.ts"
import { lockDirectory } from "./DirectoryLock.ts"

/** A key with its value. */
export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Keys from `start` on and below `end`. With `reverse`, keys from `start` down, above `end`. */
export interface RangeOptions {
  readonly start: Uint8Array
  readonly end: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

/**
 * A sorted map from bytes to bytes. Keys have 1 to 1,978 bytes. All methods may throw the errors of LMDB, so call them
 * inside `commit` or `read`. The values that they return are copies.
 */
export interface Table {
  get(key: Uint8Array): Uint8Array | undefined
  /** The result is lazy. Iterate it, as far as needed, before the function inside `commit` or `read` returns. */
  range(options: RangeOptions): Iterable<Entry>
  /** The same without reading the values. */
  keys(options: RangeOptions): Iterable<Uint8Array>
  /** Only inside `commit`. */
  put(key: Uint8Array, value: Uint8Array): void
  /** Only inside `commit`. Removing a missing key has no effect. */
  remove(key: Uint8Array): void
}

/** One LMDB environment in a data directory, which one process holds at a time. */
export class LmdbStore extends Context.Service<
  LmdbStore,
  {
    readonly directory: string
    /** Opens a table, and creates it the first time. There are at most `lmdbLimits.tables`. */
    table(name: string): Effect.Effect<Table, StorageUnavailable>
    /**
     * Runs `write` in a transaction with all other writes that wait, and succeeds with its return value once the
     * transaction is durable. `write` is synchronous, reads what it wrote, and may run twice (invariant 3), so it must
     * change only tables. An interrupted commit may still take effect.
     */
    commit<A>(write: () => A): Effect.Effect<A, StorageUnavailable>
    /** Runs synchronous reads on one snapshot, which is no older than the last commit that succeeded. */
    read<A>(read: () => A): Effect.Effect<A, StorageUnavailable>
  }
>()("@nimbus/adapters/lmdb/LmdbStore") {
  static readonly layerWith = (options: { readonly directory: string }) =>
    Layer.effect(LmdbStore, make(options.directory))
  /** The directory is `NIMBUS_DATA`, by default `./data`. */
  static readonly layer = Layer.unwrap(
    Effect.map(Config.String("NIMBUS_DATA").pipe(Config.withDefault("./data")), (directory) =>
      LmdbStore.layerWith({ directory }),
    ),
  )
}

const make = Effect.fn("LmdbStore.make")(function* (
  path: string,
): Effect.fn.Return<LmdbStore["Service"], StorageUnavailable | DataDirectoryInUse | DataDirectoryCorrupt, Scope.Scope> {
  const directory = resolve(path)
  yield* lockDirectory(directory)
  yield* checkDataFile(directory)
  const root = yield* Effect.try({ try: () => openRoot(directory), catch: unavailable("open") })
  const writer = makeWriter(root)
  yield* Effect.addFinalizer(() => Effect.promise(() => writer.close()))
  return LmdbStore.of({
    directory,
    table: (name) => Effect.try({ try: () => makeTable(root, name), catch: unavailable(`table ${name}`) }),
    commit: writer.commit,
    read: (read) => Effect.try({ try: read, catch: unavailable("read") }),
  })
})

const unavailable = (operation: string) => (cause: unknown) => new StorageUnavailable({ operation, cause })

type Bytes = Uint8Array

const binary = { encoding: "binary", keyEncoding: "binary" } as const

const openRoot = (directory: string): RootDatabase<Bytes, Bytes> =>
  open<Bytes, Bytes>({
    ...binary,
    path: directory,
    noSubdir: false,
    maxDbs: lmdbLimits.tables,
    overlappingSync: false,
    eventTurnBatching: false,
  })

const makeTable = (root: RootDatabase<Bytes, Bytes>, name: string): Table => {
  const db: Database<Bytes, Bytes> = root.openDB<Bytes, Bytes>(name, binary)
  return {
    get: (key) => db.getBinary(key),
    range: (options) => db.getRange(options),
    keys: (options) => db.getKeys(options),
    put: (key, value) => void db.putSync(key, value),
    remove: (key) => void db.removeSync(key),
  }
}

interface Queued {
  readonly run: () => void
  readonly succeed: () => void
  readonly fail: (error: StorageUnavailable) => void
}

/** The group commit. */
const makeWriter = (root: RootDatabase<Bytes, Bytes>) => {
  let queue: Array<Queued> = []
  let loop: Promise<void> | undefined
  let closed = false

  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const again = await writeGroup(root, takeAll)
      queue.unshift(...again)
    }
    loop = undefined
  }
  const takeAll = () => {
    const group = queue
    queue = []
    return group
  }

  return {
    commit: <A>(write: () => A): Effect.Effect<A, StorageUnavailable> =>
      Effect.callback<A, StorageUnavailable>((resume) => {
        if (closed) return resume(Effect.fail(unavailable("commit")(new Error("the store is closed"))))
        let answer: { readonly value: A } | undefined
        queue.push({
          run: () => void (answer = { value: write() }),
          succeed: () =>
            resume(answer === undefined ? Effect.die(new Error("a write did not run")) : Effect.succeed(answer.value)),
          fail: (error) => resume(Effect.fail(error)),
        })
        loop ??= drain()
      }),
    /** Waits for the queued commits. */
    close: async () => {
      closed = true
      await loop
      await root.close()
    },
  }
}

/** One transaction. Returns the writes to run again. */
const writeGroup = async (
  root: RootDatabase<Bytes, Bytes>,
  takeAll: () => Array<Queued>,
): Promise<ReadonlyArray<Queued>> => {
  let group: Array<Queued> = []
  let thrower: Queued | undefined
  try {
    // A child transaction can be rolled back alone.
    await root.childTransaction(() => {
      // The group is taken only now, when the writer thread holds the lock, so that it is as large as possible.
      group = takeAll()
      for (const queued of group) {
        thrower = queued
        queued.run()
      }
      thrower = undefined
    })
  } catch (error) {
    return await refuse(group.length === 0 ? takeAll() : group, thrower, error)
  }
  for (const queued of group) queued.succeed()
  return []
}

const refuse = async (
  group: ReadonlyArray<Queued>,
  thrower: Queued | undefined,
  error: unknown,
): Promise<ReadonlyArray<Queued>> => {
  const failure = unavailable("commit")(await commitError(error))
  if (thrower !== undefined) {
    thrower.fail(failure)
    return group.filter((queued) => queued !== thrower)
  }
  for (const queued of group) queued.fail(failure)
  return []
}

/** The cause of a failed transaction is in a second promise. */
const commitError = async (error: unknown): Promise<unknown> => {
  if (!Predicate.hasProperty(error, "commitError")) return error
  try {
    return await error.commitError
  } catch (cause) {
    return cause
  }
}

/**
 * LMDB maps the file, and a foreign or truncated file crashes the process. The two meta pages are therefore checked
 * first. This detects a file that is not one of LMDB, and one that is too short for the roots of its trees, but nothing
 * else.
 */
const checkDataFile = (directory: string): Effect.Effect<void, DataDirectoryCorrupt | StorageUnavailable> =>
  Effect.try({ try: () => faultOf(join(directory, "data.mdb")), catch: unavailable("open") }).pipe(
    Effect.flatMap((reason) =>
      reason === undefined ? Effect.void : Effect.fail(new DataDirectoryCorrupt({ directory, reason })),
    ),
  )

/** The offsets in a meta page, from `struct MDB_meta`. */
const META = { magic: 24, pageSize: 48, roots: [88, 136], bytes: 168 } as const
const MAGIC = 0xbeefc0de
const NO_ROOT = 0xffff_ffff_ffff_ffffn

const faultOf = (file: string): string | undefined => {
  const fd = openIfThere(file)
  if (fd === undefined) return undefined
  try {
    const size = fstatSync(fd).size
    return size === 0 ? undefined : faultOfMetas(fd, size)
  } finally {
    closeSync(fd)
  }
}

const faultOfMetas = (fd: number, size: number): string | undefined => {
  let pageSize = 0
  for (const page of [0, 1]) {
    const meta = Buffer.alloc(META.bytes)
    readSync(fd, meta, 0, META.bytes, page * pageSize)
    if (meta.readUInt32LE(META.magic) !== MAGIC) return "data.mdb is not an LMDB file"
    pageSize = meta.readUInt32LE(META.pageSize)
    for (const at of META.roots) {
      const root = meta.readBigUInt64LE(at)
      if (root !== NO_ROOT && (root + 1n) * BigInt(pageSize) > BigInt(size)) return "data.mdb is cut off"
    }
  }
  return undefined
}

const openIfThere = (file: string): number | undefined => {
  try {
    return openSync(file, "r")
  } catch (error) {
    if (Predicate.hasProperty(error, "code") && error.code === "ENOENT") return undefined
    throw error
  }
}
