/**
 * The web page: the files that `packages/gateway/page` was built into, from memory.
 *
 * ```
 *   /, /chat, /clients/…, /journey/…  ──▶ index.html   asked for again each time, and answered 304 by its ETag
 *   anything else, from a browser     ──▶ index.html   with 404: the page says that nothing is there
 *   /assets/<name>-<hash>.js, .css    ──▶ themselves   kept by browsers for ever: another content has another name
 * ```
 *
 * They are read once, when the gateway starts, so that no request names a file of the disk. The page itself is no secret:
 * what it shows comes from the admin API, which asks for the token.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { Effect, Layer } from "effect"
import { isClientId } from "@nimbus/domain/protocol"
import { HttpRouter, HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"

interface PageFile {
  readonly type: string
  readonly etag: string
  readonly bytes: Uint8Array
  readonly gzipped: Uint8Array
}

/** Where `packages/gateway/page/build.ts` puts it. */
export const builtPage = fileURLToPath(new URL("../../page/dist/site", import.meta.url))

/** What a browser may load and reach for this page: what comes from here. Styles by `style` objects are not inline ones. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

const pageHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
}

const revalidated = "no-cache"
const immutable = "public, max-age=31536000, immutable"

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
}

/** The addresses of the page's own views: which of them is shown the page sees for itself. */
const views = ["/", "/chat", "/clients/:clientId", "/journey/:clientId/:seq"] as const

/** Whether a view can be of such a client and seq. */
const isPossible = ({ clientId, seq }: Readonly<Record<string, string | undefined>>): boolean =>
  (clientId === undefined || isClientId(clientId)) && (seq === undefined || /^\d{1,15}$/.test(seq))

/** The page in `directory`; where there is none, every view says what to run. */
export const layerAt = (directory: string) =>
  Layer.unwrap(Effect.sync(() => (existsSync(join(directory, "index.html")) ? built(directory) : notBuilt)))

export const layer = layerAt(builtPage)

const built = (directory: string) => {
  const index = read(join(directory, "index.html"))
  const assets = new Map(
    filesIn(join(directory, "assets")).map((name) => [name, read(join(directory, "assets", name))]),
  )
  const asset = Effect.gen(function* () {
    const { name } = yield* HttpRouter.params
    const file = assets.get(name ?? "")
    if (file === undefined) return HttpServerResponse.text("not found\n", { status: 404 })
    return yield* answer(file, immutable)
  })
  const view = Effect.flatMap(HttpRouter.params, (params) =>
    isPossible(params) ? answer(index, revalidated) : Effect.succeed(notFound(index)),
  )
  return Layer.mergeAll(atViews(view), HttpRouter.add("GET", "/assets/:name", asset), elsewhere(index))
}

/** A browser that goes to an address which is none is shown the page; everyone else is answered as without it. */
const elsewhere = (index: PageFile) =>
  HttpRouter.add(
    "*",
    "/*",
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const isVisit = request.method === "GET" && (request.headers["accept"] ?? "").includes("text/html")
      if (isVisit) return notFound(index)
      return yield* new HttpServerError.HttpServerError({
        reason: new HttpServerError.RouteNotFound({ request }),
      })
    }),
  )

const notFound = ({ bytes, type }: PageFile) =>
  HttpServerResponse.uint8Array(bytes, {
    status: 404,
    contentType: type,
    headers: { ...pageHeaders, "cache-control": "no-store" },
  })

type Answer = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  never,
  HttpServerRequest.HttpServerRequest | HttpRouter.RouteContext
>

const atViews = (answer: Answer) =>
  HttpRouter.use((router) => Effect.forEach(views, (path) => router.add("GET", path, answer), { discard: true }))

const notBuilt = atViews(
  Effect.succeed(
    HttpServerResponse.text("The page has not been built. Run `npm run setup`, then start the gateway again.\n", {
      status: 503,
    }),
  ),
)

const filesIn = (directory: string): ReadonlyArray<string> => (existsSync(directory) ? readdirSync(directory) : [])

const read = (file: string): PageFile => {
  const bytes = readFileSync(file)
  return {
    type: types[extname(file)] ?? "application/octet-stream",
    etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
    bytes,
    gzipped: gzipSync(bytes),
  }
}

const answer = Effect.fnUntraced(function* ({ bytes, etag, gzipped, type }: PageFile, cacheControl: string) {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const common = { ...pageHeaders, etag, "cache-control": cacheControl, vary: "accept-encoding" }
  if (headers["if-none-match"] === etag) return HttpServerResponse.empty({ status: 304, headers: common })
  const isGzipped = /\bgzip\b/.test(headers["accept-encoding"] ?? "")
  return HttpServerResponse.uint8Array(isGzipped ? gzipped : bytes, {
    contentType: type,
    headers: isGzipped ? { ...common, "content-encoding": "gzip" } : common,
  })
})
