/**
 * The consumers of one process, each behind a switch. All are on at first.
 *
 * To switch one off is to let it crash: its scope is closed with a defect, so its workers are interrupted where they
 * stand, as kill -9 would leave them, and what they had not committed is read again by the next owner. When the process
 * itself leaves, they finish what they have in hand.
 */
import { NotFound, NotPossible, type RoleControlShape } from "@nimbus/domain/admin"
import { Effect, Exit, Layer, Scope, Semaphore } from "effect"

export type Roles<E, R> = Readonly<Record<string, Layer.Layer<never, E, R>>>

export const make = Effect.fnUntraced(function* <E, R>(roles: Roles<E, R>) {
  const parent = yield* Effect.scope
  const switches = new Map<string, Switch<E, R>>()
  for (const [role, layer] of Object.entries(roles)) switches.set(role, yield* makeSwitch(role, layer, parent))
  const services = yield* Effect.context<R>()
  const list = Effect.sync(() => [...switches.values()].map(viewOf))
  return {
    list,
    set: (role, isRunning) =>
      Effect.gen(function* () {
        const one = switches.get(role)
        if (one === undefined) return yield* new NotFound({ message: `this process runs no ${role}` })
        yield* (isRunning ? one.start : one.crash).pipe(
          Effect.provideContext(services),
          Effect.mapError((error) => new NotPossible({ message: `${role} can't start: ${String(error)}` })),
        )
        return viewOf(one)
      }),
  } satisfies RoleControlShape
})

interface Switch<E, R> {
  readonly role: string
  readonly isRunning: () => boolean
  readonly start: Effect.Effect<void, E, R>
  readonly crash: Effect.Effect<void>
}

const viewOf = <E, R>({ isRunning, role }: Switch<E, R>) => ({ role, isRunning: isRunning() })

const makeSwitch = Effect.fnUntraced(function* <E, R>(
  role: string,
  layer: Layer.Layer<never, E, R>,
  parent: Scope.Scope,
) {
  let running: Scope.Closeable | undefined
  const oneAtATime = Semaphore.makeUnsafe(1).withPermit
  const start = Effect.gen(function* () {
    if (running !== undefined) return
    const scope = yield* Scope.fork(parent)
    yield* Effect.onError(Layer.buildWithScope(Layer.fresh(layer), scope), () => Scope.close(scope, Exit.void))
    running = scope
  }).pipe(Effect.uninterruptible, oneAtATime)
  const crash = Effect.suspend(() => {
    if (running === undefined) return Effect.void
    const scope = running
    running = undefined
    return Effect.andThen(Effect.logInfo(`${role} is switched off`), Scope.close(scope, Exit.die("switched off")))
  }).pipe(Effect.uninterruptible, oneAtATime)
  yield* start
  return { role, isRunning: () => running !== undefined, start, crash } satisfies Switch<E, R>
})
