/**
 * Which requests the HTTP port takes, decided once in front of every route and every upgrade. A browser sends requests for
 * any page that it has open, also to this machine, so a request has to be one that a page of ours, or a program, would send.
 *
 * | what is looked at | refused where |
 * | --- | --- |
 * | `Host` | 403 `HOST_NOT_ALLOWED`: `hosts` are named, and it is neither one of them nor a loopback name (DNS rebinding) |
 * | `Origin` | 403 `ORIGIN_NOT_ALLOWED`: it is another origin, and none of `origins` |
 * | the same, of the admin API | it is another origin |
 * | `Sec-Fetch-Site`, without `Origin` | it tells of another origin, and the request acts, polls, or asks the admin API |
 * | `Content-Type` | 415 `UNSUPPORTED_MEDIA_TYPE`: what is sent is not `application/json`. A form of another site can't send that |
 *
 * 1. A request of the same origin passes the second to fourth line whatever the settings say, and so does one of a program,
 *    which has neither of the two headers. `Origin: null` is another origin.
 * 2. Health and metrics are answered whatever the headers say: probes and scrapers ask for them by any name.
 * 3. Socket.IO has a content type of its own for polling, so the last line does not hold there. The second does.
 * 4. A scheme alone does not make another origin, for TLS may end at a balancer. Host and port do.
 *
 * Effect's middleware for CORS sees what the router serves; upgrades and Socket.IO do not come there.
 */

export interface AdmissionRules {
  /** Other origins whose pages may use everything but the admin API. `*`: all of them. */
  readonly origins: ReadonlyArray<string>
  /** The names that this server is asked by, beside those of loopback. Undefined: any. */
  readonly hosts: ReadonlyArray<string> | undefined
}

/** What a request says of itself. Headers are undefined where it has none. */
export interface Asked {
  readonly method: string
  /** The target, without its query. */
  readonly path: string
  readonly host: string | undefined
  readonly origin: string | undefined
  /** `Sec-Fetch-Site`. */
  readonly site: string | undefined
  readonly contentType: string | undefined
  readonly hasBody: boolean
  /** Whether it has `Access-Control-Request-Method`: with OPTIONS the question of a browser whether it may ask. */
  readonly asksFirst: boolean
}

export type Admission =
  /** `readableBy`: the other origin whose pages may read the answer, or `*`. */
  | { readonly _tag: "Pass"; readonly readableBy: string | undefined }
  /** Answered here: pages of this origin may ask. */
  | { readonly _tag: "Preflight"; readonly readableBy: string }
  | { readonly _tag: "Refused"; readonly status: 403 | 415; readonly code: RefusalCode; readonly message: string }

export type RefusalCode = "HOST_NOT_ALLOWED" | "ORIGIN_NOT_ALLOWED" | "UNSUPPORTED_MEDIA_TYPE"

export const admit = (asked: Asked, { hosts, origins }: AdmissionRules): Admission => {
  const kind = kindOf(asked.path)
  if (kind === "probe") return pass(undefined)
  if (!isHere(asked.host, hosts)) return wrongHost
  const isAdmin = kind === "admin"
  if (isElsewhere(asked) && (isAdmin || !isTaken(asked, kind, origins))) return isAdmin ? notForAdmin : wrongOrigin
  const readableBy = asked.origin !== undefined && isElsewhere(asked) ? readerOf(asked.origin, origins) : undefined
  if (readableBy !== undefined && asked.method === "OPTIONS" && asked.asksFirst) {
    return { _tag: "Preflight", readableBy }
  }
  return kind === "chat" || isJson(asked) ? pass(readableBy) : notJson
}

/**
 * Whether the cookies of a request count as a login: its page is of this origin, or of one that is named. A browser sends
 * them with what any page asks, so that with `*` all pages would ask as their visitors.
 */
export const mayUseCookies = (asked: Pick<Asked, "host" | "origin" | "site">, { origins }: AdmissionRules): boolean =>
  !isElsewhere(asked) || (asked.origin !== undefined && origins.includes(asked.origin))

type Kind = "probe" | "admin" | "chat" | "other"

const probes = new Set(["/healthz", "/readyz", "/metrics"])

/** Health and metrics. */
export const isProbe = (path: string): boolean => probes.has(path)

/** What is exempt must be spelled exactly; what is held to more is found however the router lets it be spelled. */
const kindOf = (path: string): Kind => {
  if (isProbe(path)) return "probe"
  if (path === "/socket.io/") return "chat"
  return /^\/+v1\/+admin(?![^/;])/i.test(decoded(path)) ? "admin" : "other"
}

/** Byte by byte: whatever else is in the path, the letters of ASCII are found. */
const decoded = (path: string): string =>
  path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** Whether it comes from a page of another origin, as far as its browser says. */
const isElsewhere = ({ host, origin, site }: Pick<Asked, "host" | "origin" | "site">): boolean =>
  origin === undefined ? site === "cross-site" || site === "same-site" : !isSame(origin, host)

const isSame = (origin: string, host: string | undefined): boolean => {
  const page = URL.parse(origin)
  // Of a scheme that is not the web's, every origin reads as "null".
  if (page === null || page.origin === "null" || host === undefined) return false
  return URL.parse(`${page.protocol}//${host}`)?.host === page.host
}

/** Without `Origin` a page only loads something, such as a link or a script, and cannot read it, unless it acts thereby. */
const isTaken = ({ method, origin }: Asked, kind: Kind, origins: ReadonlyArray<string>): boolean => {
  if (origin !== undefined) return readerOf(origin, origins) !== undefined
  return origins.includes("*") || (kind !== "chat" && isRead(method))
}

const readerOf = (origin: string, origins: ReadonlyArray<string>): string | undefined => {
  if (origins.includes("*")) return "*"
  return origins.includes(origin) ? origin : undefined
}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD"

const isJson = ({ contentType, hasBody, method }: Asked): boolean => {
  if (isRead(method) || method === "OPTIONS") return true
  if (contentType === undefined) return !hasBody
  return contentType.split(";", 1)[0]?.trim().toLowerCase() === "application/json"
}

/** HTTP/1.0 may leave the Host out, which no browser does. */
const isHere = (host: string | undefined, hosts: ReadonlyArray<string> | undefined): boolean => {
  if (hosts === undefined || host === undefined) return true
  const name = hostnameOf(host)
  return name !== undefined && (isLoopback(name) || name.endsWith(".localhost") || hosts.includes(name))
}

/** Of a `Host`, as browsers write it: without its port, an IPv6 address without its brackets. Undefined: it is none. */
export const hostnameOf = (host: string): string | undefined => {
  if (!/^[^\s/\\?#@]+$/.test(host)) return undefined
  return URL.parse(`http://${host}`)
    ?.hostname.replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
}

/** `localhost`, 127.0.0.0/8 and ::1. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host)

const pass = (readableBy: string | undefined): Admission => ({ _tag: "Pass", readableBy })

const wrongHost: Admission = {
  _tag: "Refused",
  status: 403,
  code: "HOST_NOT_ALLOWED",
  message: "this server is not asked by this Host: NIMBUS_HOSTS names those that it is asked by",
}
const wrongOrigin: Admission = {
  _tag: "Refused",
  status: 403,
  code: "ORIGIN_NOT_ALLOWED",
  message: "pages of this origin may not ask: NIMBUS_ORIGINS names those that may",
}
const notForAdmin: Admission = {
  _tag: "Refused",
  status: 403,
  code: "ORIGIN_NOT_ALLOWED",
  message: "of all pages only those of this server may ask the admin API",
}
const notJson: Admission = {
  _tag: "Refused",
  status: 415,
  code: "UNSUPPORTED_MEDIA_TYPE",
  message: "send JSON, and say so: Content-Type: application/json",
}
