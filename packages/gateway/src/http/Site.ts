/**
 * Files that were built for browsers, answered from memory. They are read once, when the gateway starts, so that no
 * request names a file of the disk.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"

/** Where `packages/gateway/page/build.ts` puts them. */
export const built = fileURLToPath(new URL("../../page/dist/site", import.meta.url))

export interface SiteFile {
  readonly type: string
  readonly etag: string
  readonly bytes: Uint8Array
  readonly gzipped: Uint8Array
}

/** Asked for again each time, and answered 304 by its ETag. */
export const revalidated = "no-cache"
/** Kept by browsers for ever: another content has another name. */
export const immutable = "public, max-age=31536000, immutable"

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
}

export const read = (file: string): SiteFile => {
  const bytes = readFileSync(file)
  return {
    type: types[extname(file)] ?? "application/octet-stream",
    etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
    bytes,
    gzipped: gzipSync(bytes, { level: 9 }),
  }
}

/** With these headers: the file, gzipped for clients that accept it, or a 304 if the browser has it. */
export const answer = Effect.fnUntraced(function* (
  { bytes, etag, gzipped, type }: SiteFile,
  more: Readonly<Record<string, string>>,
) {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  const common = { etag, vary: "accept-encoding", ...more }
  if (headers["if-none-match"] === etag) return HttpServerResponse.empty({ status: 304, headers: common })
  const isGzipped = /\bgzip\b/.test(headers["accept-encoding"] ?? "")
  return HttpServerResponse.uint8Array(isGzipped ? gzipped : bytes, {
    contentType: type,
    headers: isGzipped ? { ...common, "content-encoding": "gzip" } : common,
  })
})

/** Where there is no such file yet. */
export const notBuilt = (what: string) =>
  HttpServerResponse.text(`${what} has not been built. Run \`npm run setup\`, then start the gateway again.\n`, {
    status: 503,
  })
