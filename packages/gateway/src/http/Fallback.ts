/**
 * What is answered where no route has an answer of its own:
 *
 * | request | answer |
 * | --- | --- |
 * | a path that is none | 404 `NOT_FOUND` |
 * | a path of ours by another method | 405 `METHOD_NOT_ALLOWED`, with `Allow` |
 * | a body beyond `body_bytes` | 413 `BODY_TOO_BIG`, while it still comes; the connection is closed |
 * | a body that broke off | 400 `BAD_REQUEST` |
 *
 * A request that upgrades where there is no transport is a request like any other, and gets the same answers.
 */
import { problems } from "@nimbus/domain/http"
import { ByteSize, Effect, Layer } from "effect"
import {
  FindMyWay,
  HttpIncomingMessage,
  type HttpMethod,
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  type HttpServerResponse,
} from "effect/http"
import { Delivery } from "../delivery/Delivery.ts"
import { Limits, queryLimits } from "../Limits.ts"
import { refuse, refuseNowhere, shownPath } from "./Refusal.ts"
import { UpgradeServer } from "./UpgradeServer.ts"

/**
 * Paths are told apart by their case, as RFC 9110 has it. The router's own bound is below the longest names that clients
 * and rooms may have.
 */
export const routerConfig = { caseSensitive: true, maxParamLength: queryLimits.name_chars }

const methods: ReadonlyArray<HttpMethod.HttpMethod> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

/** The router that routes are to be added to: it takes down their paths and methods. */
export const layer = Layer.effect(
  HttpRouter.HttpRouter,
  Effect.gen(function* () {
    const router = yield* HttpRouter.HttpRouter
    const { body_bytes } = yield* Limits
    const delivery = yield* Delivery
    const known = FindMyWay.make<true>(routerConfig)
    yield* router.addGlobalMiddleware((answer) =>
      answer.pipe(
        Effect.catch((error) => Effect.provideService(instead(error, known, body_bytes), Delivery, delivery)),
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(body_bytes)),
      ),
    )
    yield* countRefused
    return recording(router, (method, path) => {
      if (method !== "*" && path !== "/*") known.on(method, path, true)
    })
  }),
)

/** What was refused before it came to a route. */
const countRefused = Effect.gen(function* () {
  const { counts } = yield* Delivery
  const { onRefused } = yield* UpgradeServer
  yield* onRefused((code) => counts.addTo("refused", code))
})

type Note = (method: HttpMethod.HttpMethod | "*", path: FindMyWay.PathInput) => void

const recording = (router: HttpRouter.HttpRouter, note: Note): HttpRouter.HttpRouter => ({
  ...router,
  add: (method, path, handler, options) => {
    note(method, path)
    return router.add(method, path, handler, options)
  },
  addAll: (routes) => {
    for (const { method, path } of routes) note(method, path)
    return router.addAll(routes)
  },
})

const instead = <E>(
  error: E,
  known: FindMyWay.Router<true>,
  body_bytes: number,
): Effect.Effect<HttpServerResponse.HttpServerResponse, E, Delivery | HttpServerRequest.HttpServerRequest> => {
  if (!HttpServerError.isHttpServerError(error)) return Effect.fail(error)
  const { reason } = error
  if (reason._tag === "RouteNotFound") return Effect.flatMap(HttpServerRequest.HttpServerRequest, nowhere(known))
  if (reason._tag !== "RequestParseError") return Effect.fail(error)
  if (reason.reason !== "BodyTooLarge") return refuse(problems.badRequest, reason.message)
  return refuse(problems.bodyTooBig, `a body has at most ${body_bytes} bytes; send it in several`)
}

const nowhere =
  (known: FindMyWay.Router<true>) =>
  ({ method, url }: HttpServerRequest.HttpServerRequest) => {
    const allowed = methods.filter((method) => known.find(method === "HEAD" ? "GET" : method, url) !== undefined)
    if (allowed.length === 0) return refuseNowhere(url)
    const allow = allowed.join(", ")
    return refuse(problems.methodNotAllowed, `${shownPath(url)} takes ${allow}, not ${method}`, { allow })
  }
