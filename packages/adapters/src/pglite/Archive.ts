/**
 * The archive on PGlite, which uses the archive of PostgreSQL. The database is opened at the first read or write. An
 * unused server therefore has no database, and its start does not wait for one.
 */
import { ArchiveUnavailable } from "@nimbus/domain/errors"
import { Archive, type ArchiveShape } from "@nimbus/domain/services"
import { Effect, Exit, Fiber, FiberSet, Layer, Scope } from "effect"
import type { PgliteUnavailable, PostgresRefused } from "../Errors.ts"
import { pgliteLimits } from "../Limits.ts"
import { make as makeArchive } from "../postgres/Archive.ts"
import { open, type PgliteOptions } from "./Database.ts"

const store = "pglite"

/** The archive in a directory that no other process has open. */
export const layerWith = (directory: string, options: PgliteOptions = { inBackground: true }): Layer.Layer<Archive> =>
  Layer.effect(Archive, make(directory, options))

const make = Effect.fnUntraced(function* (directory: string, options: PgliteOptions) {
  const parent = yield* Effect.scope
  const run = yield* FiberSet.makeRuntime<never, ArchiveShape, PgliteUnavailable | PostgresRefused>()
  let opening: Fiber.Fiber<ArchiveShape, PgliteUnavailable | PostgresRefused> | undefined

  /** The database is opened again after its thread has ended, or an attempt has failed. */
  const openAgain = Effect.gen(function* () {
    const scope = yield* Scope.fork(parent)
    const forget = Effect.suspend(() => {
      opening = undefined
      return Scope.close(scope, Exit.void)
    })
    const attempt = Effect.gen(function* () {
      const { ended, sql } = yield* open(directory, options)
      const archive = yield* makeArchive(sql, store)
      yield* Effect.forkIn(Effect.andThen(ended, forget), parent)
      return archive
    })
    return yield* Effect.provideService(attempt, Scope.Scope, scope).pipe(Effect.onError(() => forget))
  })
  /**
   * All callers wait for the same attempt. It continues if they give up, so that the next caller does not start anew.
   */
  const archive = Effect.suspend(() => Fiber.join((opening ??= run(openAgain)))).pipe(
    Effect.mapError((cause) => new ArchiveUnavailable({ store, operation: "open", cause })),
  )

  return Archive.of({
    stores: [store],
    position: (source) => Effect.flatMap(archive, (archive) => archive.position(source)),
    write: (batch) => Effect.flatMap(archive, (archive) => leftToItself(archive.write(batch))),
    page: (question) =>
      Effect.flatMap(archive, (archive) => leftToItself(archive.page(question))).pipe(
        Effect.timeoutOrElse({ duration: pgliteLimits.page_timeout_ms, orElse: () => Effect.fail(tooLate) }),
      ),
  })
})

const tooLate = new ArchiveUnavailable({
  store,
  operation: "page",
  cause: new Error(`no answer within ${pgliteLimits.page_timeout_ms} ms`),
})

/**
 * A client of PostgreSQL cancels a statement by a second connection. PGlite has only one, and a caller that gives up
 * must not wait for the statement to end. The statement therefore continues, at most until the database is closed.
 */
const leftToItself = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDetach(effect), (fiber) => Fiber.join(fiber))
