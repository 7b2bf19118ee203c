/**
 * The memory of a client in a file, for programs that must remember across a crash of the machine.
 *
 * ```
 *   <directory>/<client id>.memory      {"last":-1,…}                         the whole, as of the last rewrite
 *                                       [{"_tag":"Sent",…}]                   one line for each save since
 *                                       [{"_tag":"Settled",…},{"_tag":…}]
 * ```
 *
 * A save appends one line and syncs it to disk. It succeeds when the disk has the line. When the lines are much larger than
 * their sum, the file is written again under another name and renamed, with a sync before and after. The name therefore
 * always refers to the complete old file or the complete new one.
 *
 * Only the last line can be truncated by a crash. Its save had not succeeded, and the line is dropped. Any other line that
 * can't be read fails with `MemoryCorrupt`. One process uses the file of a client at a time.
 *
 * A file system allows 255 bytes for a name, and some treat `C1` and `c1` as one name. An id with capitals, or one that is
 * long when it is escaped, is therefore named by its beginning and its hash: `c1~<hash>.memory`.
 */
import { createHash } from "node:crypto"
import { type FileHandle, mkdir, open, readdir, readFile, rename, stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import type { ClientId } from "@nimbus/domain/protocol"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { MemoryCorrupt, MemoryUnavailable } from "./Errors.ts"
import {
  apply,
  ClientMemory,
  decodeStored,
  empty,
  encodeStored,
  type Ledger,
  toLedger,
  toRemembered,
} from "./Memory.ts"
import { Change } from "./MemorySchemas.ts"

/** A file is rewritten when it is larger than this and than twice what it was after the last rewrite. */
const rewriteAbove_bytes = 256 * 1024

/** Keeps each client in its own file in `directory`, which is created if it does not exist. */
export const layerFile = (directory: string): Layer.Layer<ClientMemory> =>
  Layer.effect(
    ClientMemory,
    Effect.gen(function* () {
      const journals = new Map<ClientId, Journal>()
      yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all(Array.from(journals.values(), close))))

      const load = Effect.fn("FileMemory.load")(function* (clientId: ClientId) {
        const known = journals.get(clientId)
        if (known !== undefined) return toRemembered(known.ledger)
        const path = join(directory, nameOf(clientId))
        yield* io("load", () => makeDirectory(directory))
        yield* io("load", () => adopt(directory, clientId))
        const ledger = yield* Effect.fromResult(readAll(path, yield* io("load", () => textOf(path))))
        journals.set(clientId, { path, ledger, ...(yield* io("load", () => place(path, ledger))) })
        return toRemembered(ledger)
      })
      // After a failed save the file may end in half a line: only `load` makes it whole again.
      const forget = (clientId: ClientId, journal: Journal) =>
        Effect.suspend(() => {
          journals.delete(clientId)
          return Effect.promise(() => close(journal))
        })
      const save = (clientId: ClientId, changes: ReadonlyArray<Change>) =>
        Effect.suspend(() => {
          const journal = journals.get(clientId)
          if (journal === undefined) return Effect.fail(unavailable("save", "saved before it was loaded"))
          return Effect.tapError(
            io("save", () => append(journal, changes)),
            () => forget(clientId, journal),
          )
        })
      return ClientMemory.of({ load, save })
    }),
  )

const suffix = ".memory"
/** The name of a file while it is written again. */
const newSuffix = ".new"
const name_bytes = 255
const prefix_chars = 32

/** The name of the file of an id in earlier versions. */
const plainNameOf = (clientId: ClientId): string => `${encodeURIComponent(clientId)}${suffix}`

const nameOf = (clientId: ClientId): string => {
  const plain = plainNameOf(clientId)
  if (plain.length + newSuffix.length <= name_bytes && !/[A-Z]/.test(clientId)) return plain
  const prefix = clientId
    .slice(0, prefix_chars)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, "_")
  return `${prefix}~${createHash("sha256").update(clientId).digest("hex")}${suffix}`
}

/** Renames a file of an earlier version. If `C1` and `c1` are one name here, the file may be that of the other client. */
const adopt = async (directory: string, clientId: ClientId): Promise<void> => {
  const [before, now] = [plainNameOf(clientId), nameOf(clientId)]
  if (before === now || before.length > name_bytes) return
  const isThere = async (name: string) => (await ifThere(stat(join(directory, name)))) !== undefined
  if ((await isThere(now)) || !(await isThere(before)) || !(await readdir(directory)).includes(before)) return
  await rename(join(directory, before), join(directory, now))
  await syncDirectory(directory)
}

interface Journal {
  readonly path: string
  readonly ledger: Ledger
  handle: FileHandle
  size_bytes: number
  /** What the file had after it was last rewritten. */
  whole_bytes: number
}

const unavailable = (operation: "load" | "save", cause: unknown) => new MemoryUnavailable({ operation, cause })

const io = <A>(operation: "load" | "save", run: () => Promise<A>): Effect.Effect<A, MemoryUnavailable> =>
  Effect.tryPromise({ try: run, catch: (cause) => unavailable(operation, cause) })

const close = (journal: Journal): Promise<void> => journal.handle.close()

/** A missing file counts as an empty one. */
const textOf = async (path: string): Promise<string> => (await ifThere(readFile(path, "utf8"))) ?? ""

const ifThere = async <A>(reading: Promise<A>): Promise<A | undefined> => {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}

/**
 * Together with those above it. Node's own `recursive` tries again for ever where a directory that is there answers as
 * if it were not, as /proc does.
 */
const makeDirectory = async (directory: string): Promise<void> => {
  if (await isDirectory(directory)) return
  const above = dirname(resolve(directory))
  if (above !== directory) await makeDirectory(above)
  try {
    await mkdir(directory)
  } catch (error) {
    // Another process may have been faster.
    if (!(await isDirectory(directory))) throw error
  }
}

const isDirectory = async (path: string): Promise<boolean> => (await ifThere(stat(path)))?.isDirectory() === true

/** Changes are JSON already; `load` checks them by schema. */
const append = async (journal: Journal, changes: ReadonlyArray<Change>): Promise<void> => {
  for (const change of changes) apply(journal.ledger, change)
  if (journal.size_bytes > Math.max(rewriteAbove_bytes, 2 * journal.whole_bytes)) {
    const before = journal.handle
    Object.assign(journal, await place(journal.path, journal.ledger))
    return before.close()
  }
  const line = Buffer.from(`${JSON.stringify(changes)}\n`)
  await journal.handle.appendFile(line)
  await journal.handle.datasync()
  journal.size_bytes += line.length
}

/** Replaces the file by one with the whole memory, durably, and returns it open for appending. */
const place = async (path: string, ledger: Ledger) => {
  const whole = Buffer.from(`${encodeStored(toRemembered(ledger))}\n`)
  const beside = `${path}${newSuffix}`
  const handle = await open(beside, "w", 0o600)
  try {
    await handle.writeFile(whole)
    await handle.sync()
    await rename(beside, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await handle.close()
    throw error
  }
  return { handle, size_bytes: whole.length, whole_bytes: whole.length }
}

/** A rename is on disk when its directory is. */
const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, "r")
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

const decodeChanges = Schema.decodeResult(Schema.fromJsonString(Schema.Array(Change)))

/** Applies the lines. The first one is always complete. The last one counts only if it can be read and ends in a newline. */
const readAll = (path: string, text: string): Result.Result<Ledger, MemoryCorrupt> => {
  if (text === "") return Result.succeed(toLedger(empty))
  const [first = "", ...lines] = text.split("\n")
  const stored = decodeStored(first)
  if (Result.isFailure(stored)) return corrupt(path, 1, stored.failure)
  const ledger = toLedger(stored.success)
  const afterLastNewline = lines.pop()
  for (const [i, line] of lines.entries()) {
    const changes = decodeChanges(line)
    if (Result.isFailure(changes)) {
      if (i === lines.length - 1 && afterLastNewline === "") break
      return corrupt(path, i + 2, changes.failure.message)
    }
    for (const change of changes.success) apply(ledger, change)
  }
  return Result.succeed(ledger)
}

const corrupt = (path: string, line: number, reason: string) =>
  Result.fail(new MemoryCorrupt({ place: `${path}, line ${line}`, reason }))
