/**
 * The handlers that the environment names: those of a module (`NIMBUS_HANDLERS`), or else the samples, and those that
 * HTTP services have (`NIMBUS_HANDLERS_HTTP`).
 */
import { load as loadLibrary } from "@nimbus/adapters/libraries"
import { type Declared, Handlers } from "@nimbus/domain/services"
import { Config, Effect, Layer, Option } from "effect"
import { HandlersModuleBad } from "./Errors.ts"
import * as HandlersModule from "./HandlersModule.ts"

/** The module, if one is named. */
export const modulePath = Config.option(Config.NonEmptyString("NIMBUS_HANDLERS"))

const http = Effect.gen(function* () {
  const { HttpHandler, httpHandlersConfig } = yield* loadLibrary(["http"], () => import("@nimbus/adapters/http"))
  return (yield* httpHandlersConfig).map(({ name, secret, task, url }) =>
    task === undefined ? HttpHandler.make(name, { secret, url }) : HttpHandler.task(name, { secret, url, ...task }),
  )
})

/** A service takes the place of a sample of its name. Nothing takes that of an own handler. */
const besides = (called: ReadonlyArray<Declared<never>>): ReadonlyArray<Declared<never>> =>
  Handlers.samples.filter((sample) => !called.some(({ name }) => name === sample.name))

/** All of them. What is wrong with one of them is told before anything is connected to. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const path = yield* modulePath
    const called = yield* http
    const own = Option.isNone(path) ? besides(called) : yield* HandlersModule.load(path.value)
    if (called.length === 0) return HandlersModule.layerOf(own)
    if (HandlersModule.isList(own)) return HandlersModule.layerOf<HandlersModuleBad>([...own, ...called])
    const reason = "a layer of Handlers has them all: NIMBUS_HANDLERS_HTTP goes with an array alone"
    return yield* new HandlersModuleBad({ path: Option.getOrElse(path, () => ""), reason })
  }),
)
