/**
 * The web page: the files that `packages/gateway/page` was built into, from memory.
 *
 * ```
 *   /, /chat, /sign-in, /clients/…, /journey/…  ──▶ index.html   asked for again each time, and answered 304 by its ETag
 *   anything else, from a browser     ──▶ index.html   with 404: the page says that nothing is there
 *   /assets/<name>-<hash>.js, .css    ──▶ themselves   kept by browsers for ever: another content has another name
 * ```
 *
 * They are read once, when the gateway starts, so that no request names a file of the disk. The page itself is no secret:
 * what it shows comes from the admin API, which asks for the token.
 */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { Effect, Layer, Option } from "effect"
import { isClientId } from "@nimbus/domain/protocol"
import { HttpRouter, HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Site from "../http/Site.ts"
import { SignIn } from "./SignIn.ts"

/**
 * What a browser may load and reach for this page: what comes from here, and the provider that it signs in by. Styles by
 * `style` objects are not inline ones.
 */
const policyWith = (reached: ReadonlyArray<string>) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    ["connect-src 'self'", ...reached].join(" "),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ")

const headersWith = (reached: ReadonlyArray<string>) => ({
  "content-security-policy": policyWith(reached),
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
})

/** Where the page gets its token from, if it signs in by a provider. */
const pageHeaders = Effect.gen(function* () {
  const signIn = yield* Effect.serviceOption(SignIn)
  const view = Option.isSome(signIn) ? yield* signIn.value.view : undefined
  const origin = view === undefined ? undefined : URL.parse(view.tokenEndpoint)?.origin
  return headersWith(origin === undefined ? [] : [origin])
})

/** The addresses of the page's own views: which of them is shown the page sees for itself. */
const views = ["/", "/chat", "/sign-in", "/clients/:clientId", "/journey/:clientId/:seq"] as const

/** Whether a view can be of such a client and seq. */
const isPossible = ({ clientId, seq }: Readonly<Record<string, string | undefined>>): boolean =>
  (clientId === undefined || isClientId(clientId)) && (seq === undefined || /^\d{1,15}$/.test(seq))

/** The page in `directory`; where there is none, every view says what to run. */
export const layerAt = (directory: string) =>
  Layer.unwrap(Effect.sync(() => (existsSync(join(directory, "index.html")) ? built(directory) : notBuilt)))

export const layer = layerAt(Site.built)

const built = (directory: string) => {
  const index = Site.read(join(directory, "index.html"))
  const assets = new Map(
    filesIn(join(directory, "assets")).map((name) => [name, Site.read(join(directory, "assets", name))]),
  )
  const asset = Effect.gen(function* () {
    const { name } = yield* HttpRouter.params
    const file = assets.get(name ?? "")
    if (file === undefined) return HttpServerResponse.text("not found\n", { status: 404 })
    return yield* answer(file, Site.immutable)
  })
  const view = Effect.flatMap(HttpRouter.params, (params) =>
    isPossible(params) ? answer(index, Site.revalidated) : notFound(index),
  )
  return Layer.mergeAll(atViews(view), HttpRouter.add("GET", "/assets/:name", asset), elsewhere(index))
}

/** A browser that goes to an address which is none is shown the page; everyone else is answered as without it. */
const elsewhere = (index: Site.SiteFile) =>
  // Not for every method: HEAD would find this instead of the GET of its path.
  HttpRouter.add(
    "GET",
    "/*",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const isVisit = request.method === "GET" && (request.headers["accept"] ?? "").includes("text/html")
      if (isVisit) return yield* notFound(index)
      return yield* new HttpServerError.HttpServerError({
        reason: new HttpServerError.RouteNotFound({ request }),
      })
    }),
  )

const notFound = ({ bytes, type }: Site.SiteFile) =>
  Effect.map(pageHeaders, (headers) =>
    HttpServerResponse.uint8Array(bytes, {
      status: 404,
      contentType: type,
      headers: { ...headers, "cache-control": "no-store" },
    }),
  )

type Answer = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  never,
  HttpServerRequest.HttpServerRequest | HttpRouter.RouteContext
>

const atViews = (answer: Answer) =>
  HttpRouter.use((router) => Effect.forEach(views, (path) => router.add("GET", path, answer), { discard: true }))

const notBuilt = atViews(Effect.succeed(Site.notBuilt("The page")))

const filesIn = (directory: string): ReadonlyArray<string> => (existsSync(directory) ? readdirSync(directory) : [])

const answer = (file: Site.SiteFile, cacheControl: string) =>
  Effect.flatMap(pageHeaders, (headers) => Site.answer(file, { ...headers, "cache-control": cacheControl }))
