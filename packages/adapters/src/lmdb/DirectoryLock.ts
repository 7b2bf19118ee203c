/**
 * One process at a time in a data directory.
 *
 * LMDB lets several processes in, so the directory has a lock of its own: an exclusive SQLite transaction, open for as
 * long as the scope lives, on an empty file. It is a lock of the kernel's, behind one interface on every platform: it
 * goes when its process does, however that ends, so a `kill -9` leaves nothing behind; it also holds against other
 * containers that share the directory and against a second opening in this process. Process ids in a file can't do
 * that: they are reused, and every container has a process 1.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Predicate, type Scope } from "effect"
import { DataDirectoryInUse, StorageUnavailable } from "../Errors.ts"

/** Takes the directory, which is created where it is missing, until the scope closes. */
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

/** Its owner alone may look in: there is everything that clients were sent. */
const mode = 0o700

/**
 * Together with those above it. Node's own `recursive` tries again for ever where a directory that is there answers as
 * if it were not, as /proc does.
 */
const make = (directory: string): void => {
  if (isDirectory(directory)) return
  const above = dirname(directory)
  if (above !== directory) make(above)
  try {
    mkdirSync(directory, { mode })
  } catch (error) {
    // Another process may have been quicker.
    if (!isDirectory(directory)) throw error
  }
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/**
 * Every lock that is held. The garbage collector closes a database that nothing refers to, and a program that runs its
 * layers by `Effect.runFork` and keeps no fiber leaves nothing that refers to a scope of its own.
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

/** For the message only; the lock itself does not depend on it. */
const readOwner = (directory: string): { readonly owner?: string } => {
  try {
    return { owner: readFileSync(ownerFile(directory), "utf8").trim() }
  } catch {
    return {}
  }
}
