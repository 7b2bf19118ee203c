/**
 * The handlers of an application, from a module of its own that `NIMBUS_HANDLERS` names: its default export is an array
 * of handlers and tasks, or a layer of `Handlers` with all that they need.
 *
 * ```ts
 * export default [Handlers.make("order", { input, output, handler })]
 * export default Handlers.layer([order]).pipe(Layer.provide(Database.layer))
 * ```
 *
 * The module may import another copy of Effect and of `@nimbus/domain` than we do. So what it exports is told by its
 * shape, and whatever is wrong with it is one line that names the file.
 */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { type BadHandler, DuplicateHandler } from "@nimbus/domain/errors"
import { type Declared, Handlers, reasonOf } from "@nimbus/domain/services"
import { Cause, Context, Effect, Layer, Option, Predicate } from "effect"
import { HandlersModuleBad } from "./Errors.ts"
import { type HandlersModuleLimits, handlersModuleLimits } from "./Limits.ts"

/** What a module, or a program of one's own, has: handlers and tasks that need nothing, or a layer of them. */
export type HandlersOrLayer<E> = ReadonlyArray<Declared<never>> | Layer.Layer<Handlers, E>

/** Which of the two it is. */
export const isList = <E>(handlers: HandlersOrLayer<E>): handlers is ReadonlyArray<Declared<never>> =>
  Array.isArray(handlers)

/** The layer of either. */
export const layerOf = <E>(handlers: HandlersOrLayer<E>): Layer.Layer<Handlers, E | BadHandler | DuplicateHandler> =>
  isList(handlers) ? Handlers.layer(handlers) : handlers

/** Loads a module by its path, which is relative to the working directory. */
export const load = Effect.fnUntraced(function* (
  path: string,
  limits: HandlersModuleLimits = handlersModuleLimits,
): Effect.fn.Return<HandlersOrLayer<HandlersModuleBad>, DuplicateHandler | HandlersModuleBad> {
  const bad = (reason: string) => new HandlersModuleBad({ path, reason })
  const file = resolve(path)
  if (!existsSync(file)) return yield* bad(`there is no file ${file}`)
  const module: unknown = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(file).href),
    catch: (cause) => bad(`it can't be loaded: ${reasonOf(cause)}`),
  }).pipe(
    Effect.timeoutOrElse({
      duration: limits.load_timeout_ms,
      orElse: () => Effect.fail(bad(`it is not loaded after ${limits.load_timeout_ms} ms`)),
    }),
  )
  if (!Predicate.hasProperty(module, "default")) return yield* bad(`it has no default export; ${wanted}`)
  const exported = module.default
  if (isLayer(exported)) return checkedLayer(exported, bad)
  if (!Array.isArray(exported)) return yield* bad(`its default export is ${kindOf(exported)}; ${wanted}`)
  return yield* checkedArray(exported, bad)
})

const wanted = "it must be an array of handlers, or a layer of Handlers"

type Bad = (reason: string) => HandlersModuleBad

const checkedArray = Effect.fnUntraced(function* (elements: ReadonlyArray<unknown>, bad: Bad) {
  const handlers: Array<Declared<never>> = []
  for (const [i, element] of elements.entries()) {
    if (!isHandler(element))
      return yield* bad(`element ${i} of its default export is ${kindOf(element)} and no handler`)
    if (handlers.some(({ name }) => name === element.name)) return yield* new DuplicateHandler({ name: element.name })
    handlers.push(element)
  }
  return handlers
})

/** The layer is of others: what it fails with, or lacks, is told as the module's fault. */
const checkedLayer = (layer: Layer.Layer<unknown, unknown>, bad: Bad): Layer.Layer<Handlers, HandlersModuleBad> =>
  Layer.effect(
    Handlers,
    Effect.gen(function* () {
      const built: Context.Context<unknown> = yield* Layer.build(layer).pipe(
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.interrupt
            : Effect.fail(bad(`its layer failed: ${reasonOf(Cause.squash(cause))}`)),
        ),
      )
      const handlers = Context.getOption(built, Handlers)
      if (Option.isNone(handlers)) return yield* bad(`its default export is a layer without Handlers; ${wanted}`)
      return handlers.value
    }),
  )

/** That it needs nothing more can't be told by its looks: where it does, building it fails. */
const isLayer = (value: unknown): value is Layer.Layer<unknown, unknown> => Layer.isLayer(value)

/** That it needs nothing more can't be told by its looks: where it does, each of its events fails. */
const isHandler = (value: unknown): value is Declared<never> =>
  Predicate.hasProperty(value, "name") &&
  typeof value.name === "string" &&
  value.name !== "" &&
  (isFunctionOf(value, "run") ||
    (Predicate.hasProperty(value, "kind") && value.kind === "task" && isFunctionOf(value, "begin")))

const isFunctionOf = (value: object, member: string): boolean =>
  Predicate.hasProperty(value, member) && typeof value[member] === "function"

const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return "an array"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}
