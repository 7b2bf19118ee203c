/**
 * The archive on PGlite: that of PostgreSQL, opened when it is asked for something for the first time. A server that
 * nobody uses has no database, and its start does not wait for one.
 */
import { Archive, ArchiveUnavailable, type ArchiveShape } from "@nimbus/domain"
import { Effect, Exit, Fiber, Layer, Scope, Semaphore } from "effect"
import { make as makeArchive } from "../postgres/Archive.ts"
import { open, type PgliteOptions } from "./Database.ts"

const store = "pglite"

/** In a directory that no other process has open. */
export const layerWith = (directory: string, options: PgliteOptions = { inBackground: true }): Layer.Layer<Archive> =>
  Layer.effect(Archive, make(directory, options))

const make = Effect.fnUntraced(function* (directory: string, options: PgliteOptions) {
  const parent = yield* Effect.scope
  const turn = yield* Semaphore.make(1)
  let opened: ArchiveShape | undefined

  /** Opened again after the thread has ended, or an attempt has failed. */
  const openAgain = Effect.gen(function* () {
    const scope = yield* Scope.fork(parent)
    const attempt = Effect.gen(function* () {
      const { ended, sql } = yield* open(directory, options)
      const archive = yield* makeArchive(sql, store)
      const forget = Effect.suspend(() => {
        opened = undefined
        return Scope.close(scope, Exit.void)
      })
      yield* Effect.forkIn(Effect.andThen(ended, forget), parent)
      return archive
    })
    return yield* Effect.provideService(attempt, Scope.Scope, scope).pipe(
      Effect.onError(() => Scope.close(scope, Exit.void)),
    )
  })
  const archive = Semaphore.withPermits(
    turn,
    1,
    Effect.suspend(() => {
      if (opened !== undefined) return Effect.succeed(opened)
      return Effect.map(openAgain, (archive) => (opened = archive))
    }),
  ).pipe(Effect.mapError((cause) => new ArchiveUnavailable({ store, operation: "open", cause })))

  return Archive.of({
    stores: [store],
    position: (source) => Effect.flatMap(archive, (archive) => archive.position(source)),
    write: (batch) => Effect.flatMap(archive, (archive) => leftToItself(archive.write(batch))),
    page: (question) => Effect.flatMap(archive, (archive) => archive.page(question)),
  })
})

/**
 * PostgreSQL cancels a statement for whoever gives it up, by a second connection. Here there is none, and nobody who gives
 * up may wait for the statement to end: it goes on alone, at the latest until the database is closed.
 */
const leftToItself = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDetach(effect), (fiber) => Fiber.join(fiber))
