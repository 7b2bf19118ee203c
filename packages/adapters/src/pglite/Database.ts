/**
 * PostgreSQL in this process: PGlite in a thread, with the same client in front of it as PostgreSQL has, over messages
 * between threads in place of a socket.
 *
 * What it has acknowledged outlives the process, also a killed one. It does not wait for the disk: a power failure may
 * leave it broken, which costs the archive and nothing else.
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
  /** Done if the thread ends on its own: nothing will be answered any more. */
  readonly ended: Effect.Effect<void>
}

export interface PgliteOptions {
  /** Whether it works only while nobody else wants the processor, where the system can do that. */
  readonly inBackground: boolean
}

/** Opens or makes the database in a directory, for as long as the scope lives. One at a time for each directory. */
export const open = Effect.fn("Pglite.open")(function* (
  directory: string,
  options: PgliteOptions,
): Effect.fn.Return<Database, PgliteUnavailable, Scope.Scope> {
  const unavailable = Effect.mapError((cause: unknown) => new PgliteUnavailable({ directory, cause }))
  const worker = yield* Effect.acquireRelease(start(directory, options), stop).pipe(unavailable)
  // A database that is new takes a while. A caller that gives up does not wait for it.
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
      // It ends with "exit", which is heard; without a listener the process would end.
      worker.on("error", () => {})
      return worker
    },
    catch: (cause) => cause,
  })

/** Its first message says that the database is open. */
const opened = (worker: Worker): Effect.Effect<void, unknown> =>
  Effect.callback<void, unknown>((resume) => {
    worker.once("message", () => resume(Effect.void))
    worker.once("error", (cause) => resume(Effect.fail(cause)))
    worker.once("exit", (code) => resume(Effect.fail(new Error(`PGlite has ended with ${code}`))))
  })

/** Lets PostgreSQL write what it has, but not for long. */
const stop = (worker: Worker): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (worker.threadId === -1) return Effect.void
    // However it ends: `once` of node:events would fail with an error that ends it.
    const gone = new Promise((resolve) => worker.once("exit", resolve))
    worker.postMessage("close", [])
    return Effect.promise(() => gone).pipe(
      // A finalizer is not interruptible, and what is not can't be timed out.
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
