/**
 * What one party of the demo must not forget: a file that is only appended to, one JSON line for each entry. An append
 * succeeds once the disk has it.
 *
 * A crash may cut the last line short. Its append had not succeeded, so it is dropped, and the file is cut back to the
 * line before. Any other line that can't be read is `MemoryCorrupt`: counts must not be made of guesses.
 *
 * It grows with each run, by about 300 bytes per event; delete the demo's folder to begin anew.
 */
import { type FileHandle, mkdir, open as openFile, readFile } from "node:fs/promises"
import { dirname } from "node:path"
import { MemoryCorrupt, MemoryUnavailable } from "@nimbus/client"
import { Change } from "@nimbus/client/schemas"
import { EventId, Frames } from "@nimbus/domain/protocol"
import { Effect, Result, Schema, type Scope, Semaphore } from "effect"

export const Entry = Schema.TaggedUnion({
  /** A run of the demo has begun. */
  Began: { at_ms: Schema.Int },
  /** A client's SDK has saved this: what it sends, what was accepted, how far it is. */
  Saved: { changes: Schema.Array(Change) },
  /** A client was shown these. */
  Received: { items: Schema.Array(Frames.ResultItem) },
  /** Messages that the sender is about to post, each with its number. */
  Posted: { messages: Schema.Array(Schema.Struct({ id: EventId, number: Schema.Int })) },
  /** Messages of which the sender has the receipt. */
  Receipted: { ids: Schema.Array(EventId) },
})
export type Entry = typeof Entry.Type

export interface Journal {
  /** What was in it when it was opened. */
  readonly entries: ReadonlyArray<Entry>
  /** One at a time, in the order of the calls. After one that failed there are no more. */
  append(entry: Entry): Effect.Effect<void, MemoryUnavailable>
}

/** Opens a journal, and creates it and its directory where they are missing. */
export const open = Effect.fn("Journal.open")(function* (
  path: string,
): Effect.fn.Return<Journal, MemoryCorrupt | MemoryUnavailable, Scope.Scope> {
  yield* io("load", () => mkdir(dirname(path), { recursive: true, mode: 0o700 }))
  const handle = yield* Effect.acquireRelease(
    io("load", () => openFile(path, "a+", 0o600)),
    (handle) => Effect.promise(() => handle.close()),
  )
  const { entries, whole_bytes } = yield* Effect.fromResult(read(path, yield* io("load", () => readFile(path))))
  yield* io("load", () => settle(handle, dirname(path), whole_bytes))
  return { entries, append: yield* makeAppend(handle) }
})

const io = <A>(operation: "load" | "save", run: () => Promise<A>): Effect.Effect<A, MemoryUnavailable> =>
  Effect.tryPromise({ try: run, catch: (cause) => new MemoryUnavailable({ operation, cause }) })

const decode = Schema.decodeResult(Schema.fromJsonString(Entry))

const newline = 0x0a

/** The entries, and how many bytes of the file they are. */
const read = (path: string, bytes: Buffer) => {
  const entries: Array<Entry> = []
  let at = 0
  for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, at)) {
    const entry = decode(bytes.toString("utf8", at, end))
    if (Result.isSuccess(entry)) entries.push(entry.success)
    else if (end + 1 === bytes.length) break
    else return Result.fail(new MemoryCorrupt({ place: path, reason: `byte ${at}: ${entry.failure.message}` }))
    at = end + 1
  }
  return Result.succeed({ entries, whole_bytes: at })
}

/** Cuts off what is not whole, and makes the file's name durable. */
const settle = async (handle: FileHandle, directory: string, whole_bytes: number): Promise<void> => {
  await handle.truncate(whole_bytes)
  await handle.sync()
  const parent = await openFile(directory, "r")
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

const makeAppend = Effect.fnUntraced(function* (handle: FileHandle) {
  const turn = yield* Semaphore.make(1)
  let failure: MemoryUnavailable | undefined
  const write = async (entry: Entry): Promise<void> => {
    await handle.appendFile(`${JSON.stringify(entry)}\n`)
    await handle.datasync()
  }
  // Interrupted in the middle it would leave its permit to the next one too early. After a failure the file may end in
  // half a line, and what came after that could not be read.
  return (entry: Entry): Effect.Effect<void, MemoryUnavailable> =>
    Effect.suspend(() => (failure === undefined ? io("save", () => write(entry)) : Effect.fail(failure))).pipe(
      Effect.tapError((error) => Effect.sync(() => (failure = error))),
      turn.withPermit,
      Effect.uninterruptible,
    )
})
