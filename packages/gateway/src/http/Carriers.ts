/**
 * What a request shows of who asks, and where it carries that:
 *
 * | carrier | for |
 * | --- | --- |
 * | `Authorization: Bearer <token>` | programs |
 * | the WebSocket subprotocol `nimbus.bearer.<token>`, beside that of the frames | browsers, whose sockets have no headers |
 * | `?ticket=<ticket>`, of `POST /v1/tickets` | what can say nothing but a URL: a ticket is no token, and counts once |
 * | the cookie `nimbus_session` | pages of this origin, and of those that `NIMBUS_ORIGINS` names |
 *
 * 1. The first one of them that is there counts, and no other.
 * 2. A token never stands in a URL, where it would be logged by everything that it passes.
 * 3. A browser sends a cookie with what any page asks. It counts only where the page may know who it is: `cookies`.
 */
import type { IncomingHttpHeaders } from "node:http"
import type { Shown } from "../access/Asking.ts"

/** What a request says of itself. */
export interface Carried {
  readonly headers: IncomingHttpHeaders
  readonly url?: string | undefined
  /** Whether its cookies count. */
  readonly cookies: boolean
}

/** The cookie. It should be `HttpOnly`, `Secure` and `SameSite=Strict`. */
export const cookieName = "nimbus_session"

/** Before the token, among the subprotocols that a client offers. */
export const bearerProtocol = "nimbus.bearer."

/** What a request shows, apart from its certificate. */
export const shownBy = ({ cookies, headers, url = "/" }: Carried): Shown => {
  const token = bearerOf(headers.authorization) ?? offeredOf(headers["sec-websocket-protocol"])
  if (token !== undefined) return { token }
  const ticket = ticketOf(url)
  if (ticket !== undefined) return { ticket }
  const session = cookies ? cookieOf(headers.cookie) : undefined
  return session === undefined ? {} : { token: session }
}

/** Whether it shows nothing: then there may be more to come. */
export const isNothing = ({ certificate, ticket, token }: Shown): boolean =>
  certificate === undefined && ticket === undefined && token === undefined

/** What the header `Authorization` has, in whichever protocol. */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  /^bearer +([^\s]+) *$/i.exec(authorization ?? "")?.[1]

const offeredOf = (protocols: string | undefined): string | undefined =>
  protocols
    ?.split(",")
    .map((protocol) => protocol.trim())
    .find((protocol) => protocol.length > bearerProtocol.length && protocol.startsWith(bearerProtocol))
    ?.slice(bearerProtocol.length)

const ticketOf = (url: string): string | undefined => {
  const query = url.indexOf("?")
  if (query === -1) return undefined
  return new URLSearchParams(url.slice(query + 1)).get("ticket") || undefined
}

const cookieOf = (cookies: string | undefined): string | undefined => {
  for (const cookie of cookies?.split(";") ?? []) {
    const [name, value] = cookie.trim().split("=", 2)
    if (name === cookieName && value !== undefined && value !== "") return value.replaceAll('"', "")
  }
  return undefined
}
