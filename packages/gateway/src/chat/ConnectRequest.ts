/** What a socket says when it connects: its room, and how far it is. */
import type { Credentials } from "@nimbus/domain/services"
import { openRoom, type RoomId, roomNamed } from "@nimbus/domain/protocol"

interface Handshake {
  readonly auth: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, unknown>>
}

export interface ConnectRequest {
  readonly room: RoomId
  /** It named no room, and is in the open chat. */
  readonly isOpen: boolean
  /** As the client gave it. */
  readonly offset: unknown
  /** How many of the newest messages it asks for, where it has no offset. `undefined`: what it asks for is no number of them. */
  readonly history: number | undefined
  /** What it calls itself, for its place to be kept. */
  readonly clientId: string | undefined
  /** What Socket.IO's own client calls itself when it comes back; another connection is recognised by it. */
  readonly pid: string | undefined
}

/**
 * `undefined`: it names a room that there can't be, or none where `mayBeOpen` does not let it in. The header counts where
 * `auth` has nothing, or something empty.
 */
export const connectRequestOf = ({ auth, headers }: Handshake, mayBeOpen: boolean): ConnectRequest | undefined => {
  const { room: asked } = auth
  const named = asked || textOf(headers["room"]) || asked
  const isOpen = (named === undefined || named === null) && mayBeOpen
  const room = isOpen ? openRoom : roomNamed(named)
  if (room === undefined) return undefined
  const { clientId, history, offset, pid } = auth
  return {
    room,
    isOpen,
    offset,
    history: historyOf(history),
    clientId: isName(clientId) ? clientId : undefined,
    pid: typeof pid === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(pid) ? pid : undefined,
  }
}

/** `true` is as many as there may be. */
const historyOf = (asked: unknown): number | undefined => {
  if (typeof asked === "number") return asked >= 0 ? Math.floor(asked) : undefined
  return asked === true ? Infinity : (asked ?? false) === false ? 0 : undefined
}

/** Of a client that has its place kept. Half of a surrogate pair can't be written: two clients would have one place. */
const isName = (name: unknown): name is string =>
  typeof name === "string" && name.length >= 1 && name.length <= 128 && name.isWellFormed()

/** Whether it names itself in a way that there can't be. */
export const isMisnamed = ({ auth }: Handshake): boolean => {
  const name = auth["clientId"] ?? undefined
  return name !== undefined && !isName(name)
}

/** The token that it shows, beside what its request carries. Nothing keeps it after that. */
export const tokenOf = ({ auth }: { auth: Record<string, unknown> }): Pick<Credentials, "token"> => {
  const token = tokenIn(auth)
  delete auth["token"]
  return token === undefined ? {} : { token }
}

/** In `auth` of a connection, and in the event of that name. */
export const tokenIn = (auth: unknown): string | undefined =>
  typeof auth === "object" && auth !== null && "token" in auth && typeof auth.token === "string" && auth.token !== ""
    ? auth.token
    : undefined

/** Node reads a header's bytes as Latin-1; a client that has more than that to say has sent UTF-8. */
const textOf = (header: unknown): unknown => {
  if (typeof header !== "string") return header
  try {
    return utf8.decode(Buffer.from(header, "latin1"))
  } catch {
    return header
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
