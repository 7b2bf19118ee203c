/**
 * Lets one process at a time use a data directory.
 *
 * LMDB allows several processes, so the directory has a lock of its own: an exclusive SQLite transaction on an empty
 * file, which is open until the scope closes. It is a lock of the kernel, with one interface on every platform. It ends
 * with its process, even after `kill -9`, and it also excludes other containers that share the directory, and a second
 * use in this process. A file with a process id can't do that: ids are reused, and every container has a process 1.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Predicate, type Scope } from "effect"
import { DataDirectoryInUse, StorageUnavailable } from "../Errors.ts"

/** Locks the directory, which is created if it is missing, until the scope closes. */
export const lockDirectory = (
  directory: string,
): Effect.Effect<void, DataDirectoryInUse | StorageUnavailable, Scope.Scope> =>
  Effect.andThen(
    Effect.try({ try: () => make(directory), catch: unavailable("create") }),
    Effect.acquireRelease(
      Effect.try({
        try: () => take(directory),
        catch: (cause) =>
          isBusy(cause) ? new DataDirectoryInUse({ directory, ...readOwner(directory) }) : unavailable("lock")(cause),
      }),
      release,
    ),
  )

const unavailable = (operation: string) => (cause: unknown) => new StorageUnavailable({ operation, cause })

const ownerFile = (directory: string) => join(directory, "nimbus.pid")

/** Only its owner may read it, because it contains everything that clients were sent. */
const mode = 0o700

/**
 * Creates the directory and those above it. The option `recursive` of Node retries without end if an existing directory
 * behaves as if it were missing, as /proc does.
 */
const make = (directory: string): void => {
  if (isDirectory(directory)) return
  const above = dirname(directory)
  if (above !== directory) make(above)
  try {
    mkdirSync(directory, { mode })
  } catch (error) {
    // Another process may have created it meanwhile.
    if (!isDirectory(directory)) throw error
  }
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/**
 * All locks that are held. The garbage collector closes a database without references, and in a program that runs its
 * layers by `Effect.runFork` and keeps no fiber nothing else refers to them.
 */
const held = new Set<DatabaseSync>()

const release = (lock: DatabaseSync) =>
  Effect.sync(() => {
    held.delete(lock)
    lock.close()
  })

const take = (directory: string): DatabaseSync => {
  const lock = new DatabaseSync(join(directory, "nimbus.lock"))
  try {
    lock.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE")
    writeFileSync(ownerFile(directory), `${process.pid}\n`)
    held.add(lock)
    return lock
  } catch (error) {
    lock.close()
    throw error
  }
}

const SQLITE_BUSY = 5
const isBusy = (error: unknown): boolean => Predicate.hasProperty(error, "errcode") && error.errcode === SQLITE_BUSY

/** The owner is only for the error message. The lock does not depend on it. */
const readOwner = (directory: string): { readonly owner?: string } => {
  try {
    return { owner: readFileSync(ownerFile(directory), "utf8").trim() }
  } catch {
    return {}
  }
}
