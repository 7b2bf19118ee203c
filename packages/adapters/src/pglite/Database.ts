/**
 * PostgreSQL in this process: PGlite in a thread, with the same client in front of it as PostgreSQL has, over messages
 * between threads in place of a socket.
 *
 * What it has acknowledged outlives the process, also a killed one. It does not wait for the disk: a power failure may
 * leave it broken, which costs the archive and nothing else.
 */
import { once } from "node:events"
import { Duplex } from "node:stream"
import { Worker } from "node:worker_threads"
import { PgClient } from "@effect/sql-pg"
import { Effect, Redacted, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { PgliteUnavailable } from "../Errors.ts"
import { pgliteLimits } from "../Limits.ts"

export interface Database {
  readonly sql: PgClient.PgClient
  /** Done if the thread ends by itself: nothing will be answered any more. */
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
  const worker = yield* Effect.acquireRelease(
    Effect.promise(() => start(directory, options)).pipe(unavailable(directory)),
    stop,
  )
  const sql = yield* PgClient.makeClient({
    stream: () => wire(worker),
    username: "postgres",
    database: "postgres",
    password: Redacted.make(""),
    applicationName: "nimbus",
  }).pipe(
    Effect.provide(Reactivity.layer),
    Effect.mapError((cause) => new PgliteUnavailable({ directory, cause })),
  )
  const ended = Effect.callback<void>((resume) => void worker.once("exit", () => resume(Effect.void)))
  return { sql, ended }
})

const unavailable =
  (directory: string) =>
  <A>(effect: Effect.Effect<A>) =>
    Effect.catchDefect(effect, (cause) => Effect.fail(new PgliteUnavailable({ directory, cause })))

const parameters = [
  `shared_buffers=${pgliteLimits.shared_buffers_bytes / 1024}kB`,
  `wal_buffers=${pgliteLimits.wal_buffers_bytes / 1024}kB`,
  `max_wal_size=${pgliteLimits.max_wal_bytes / 1024 ** 2}MB`,
  `min_wal_size=${pgliteLimits.max_wal_bytes / 1024 ** 2}MB`,
]

const start = async (directory: string, options: PgliteOptions): Promise<Worker> => {
  const worker = new Worker(new URL("./Worker.ts", import.meta.url), {
    workerData: { directory, parameters, ...options },
  })
  await once(worker, "message")
  worker.setMaxListeners(0)
  // It ends with "exit", which is heard; without a listener the process would end.
  worker.on("error", () => {})
  return worker
}

/** Lets PostgreSQL write what it has, but not for long. */
const stop = (worker: Worker): Effect.Effect<void> =>
  Effect.promise(async () => {
    if (worker.threadId === -1) return
    const gone = once(worker, "exit")
    worker.postMessage("close", [])
    const timer = setTimeout(() => void worker.terminate(), pgliteLimits.close_timeout_ms)
    await gone
    clearTimeout(timer)
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
