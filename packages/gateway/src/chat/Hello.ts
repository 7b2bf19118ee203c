/** What a socket says when it connects: its room, and how far it is. */
import { isRoomId, openRoom, type RoomId } from "@nimbus/domain"

interface Handshake {
  readonly auth: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, unknown>>
}

export interface Hello {
  readonly room: RoomId
  /** It named no room, and is in the open chat. */
  readonly isOpen: boolean
  /** As the client gave it. */
  readonly offset: unknown
  /** What Socket.IO's own client calls itself when it comes back; another connection is recognised by it. */
  readonly pid: string | undefined
}

/** `undefined`: it names a room that there can't be, or none where `mayBeOpen` does not let it in. */
export const helloOf = ({ auth, headers }: Handshake, mayBeOpen: boolean): Hello | undefined => {
  const named = auth["room"] ?? headers["room"]
  const isOpen = named === undefined && mayBeOpen
  const room = isOpen ? openRoom : named
  if (!isRoomId(room)) return undefined
  const { offset, pid } = auth
  return { room, isOpen, offset, pid: typeof pid === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(pid) ? pid : undefined }
}
