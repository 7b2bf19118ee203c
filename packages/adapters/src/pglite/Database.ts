/**
 * PostgreSQL in this process: PGlite runs in a thread, and the usual client of PostgreSQL talks to it by messages
 * between threads instead of a socket.
 *
 * Acknowledged writes survive the end of the process, even by SIGKILL. They do not wait for the disk: a power failure
 * may corrupt the database, which loses the archive and nothing else.
 */
import { extname } from "node:path"
import { Duplex } from "node:stream"
import { Worker } from "node:worker_threads"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { PgliteUnavailable } from "../Errors.ts"
import { pgliteLimits } from "../Limits.ts"

export interface Database {
  readonly sql: PgClient.PgClient
  /** Completes if the thread ends on its own. There are no more responses then. */
  readonly ended: Effect.Effect<void>
}

export interface PgliteOptions {
  /** Whether the thread runs at the lowest priority, if the system supports that. */
  readonly inBackground: boolean
}

/** Opens or creates the database in a directory, until the scope closes. One at a time for each directory. */
export const open = Effect.fn("Pglite.open")(function* (
  directory: string,
  options: PgliteOptions,
): Effect.fn.Return<Database, PgliteUnavailable, Scope.Scope> {
  const unavailable = Effect.mapError((cause: unknown) => new PgliteUnavailable({ directory, cause }))
  const worker = yield* Effect.acquireRelease(start(directory, options), stop).pipe(unavailable)
  // Creating a database takes seconds. A caller that gives up does not wait for it.
  yield* opened(worker).pipe(unavailable)
  const sql = yield* PgClient.makeClient({
    stream: () => wire(worker),
    username: "postgres",
    database: "postgres",
    password: Redacted.make(""),
    applicationName: "nimbus",
  }).pipe(Effect.provide(Reactivity.layer), unavailable)
  const ended = Effect.callback<void>((resume) => void worker.once("exit", () => resume(Effect.void)))
  return { sql, ended }
})

const parameters = [
  `shared_buffers=${pgliteLimits.shared_buffers_bytes / 1024}kB`,
  `wal_buffers=${pgliteLimits.wal_buffers_bytes / 1024}kB`,
  `max_wal_size=${pgliteLimits.max_wal_bytes / 1024 ** 2}MB`,
  `min_wal_size=${pgliteLimits.max_wal_bytes / 1024 ** 2}MB`,
]

const start = (directory: string, options: PgliteOptions) =>
  Effect.try({
    try: () => {
      const worker = new Worker(new URL(`./Worker${extname(import.meta.url)}`, import.meta.url), {
        workerData: { directory, parameters, ...options },
      })
      worker.setMaxListeners(0)
      // The event "exit" follows, which has a listener. Without a listener for "error" the process would end.
      worker.on("error", () => {})
      return worker
    },
    catch: (cause) => cause,
  })

/** The first message of the thread says that the database is open. */
const opened = (worker: Worker): Effect.Effect<void, unknown> =>
  Effect.callback<void, unknown>((resume) => {
    worker.once("message", () => resume(Effect.void))
    worker.once("error", (cause) => resume(Effect.fail(cause)))
    worker.once("exit", (code) => resume(Effect.fail(new Error(`PGlite has ended with ${code}`))))
  })

/** Lets PostgreSQL write what it has, for a bounded time. */
const stop = (worker: Worker): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (worker.threadId === -1) return Effect.void
    // The thread may end with an error, with which `once` of node:events would fail.
    const gone = new Promise((resolve) => worker.once("exit", resolve))
    worker.postMessage("close", [])
    return Effect.promise(() => gone).pipe(
      // A finalizer is uninterruptible, and a time-out needs an interruptible effect.
      Effect.interruptible,
      Effect.timeoutOrElse({
        duration: pgliteLimits.close_timeout_ms,
        orElse: () => Effect.promise(() => worker.terminate()),
      }),
      Effect.asVoid,
    )
  })

/** The two directions of a connection. It breaks when the thread ends. */
const wire = (worker: Worker): Duplex => {
  const duplex = new Duplex({
    read: () => {},
    write: (bytes: Uint8Array, _, done) => {
      worker.postMessage(bytes, [])
      done()
    },
    destroy: (error, done) => {
      worker.off("message", hear)
      worker.off("exit", leave)
      done(error)
    },
  })
  const hear = (bytes: Uint8Array) => duplex.push(bytes)
  const leave = () => duplex.destroy(new Error("PGlite has ended"))
  worker.on("message", hear)
  worker.on("exit", leave)
  return duplex
}
