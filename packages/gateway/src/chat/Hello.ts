/** What a socket says when it connects: its room, and how far it is. */
import { isRoomId, type RoomId } from "@nimbus/domain"

interface Handshake {
  readonly auth: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, unknown>>
}

export interface Hello {
  readonly room: RoomId
  /** As the client gave it. */
  readonly offset: unknown
  /** What Socket.IO's own client calls itself when it comes back; another connection is recognised by it. */
  readonly pid: string | undefined
}

/** `undefined`: no room, or none that there can be. */
export const helloOf = ({ auth, headers }: Handshake): Hello | undefined => {
  const room = auth["room"] ?? headers["room"]
  if (!isRoomId(room)) return undefined
  const { offset, pid } = auth
  return { room, offset, pid: typeof pid === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(pid) ? pid : undefined }
}
