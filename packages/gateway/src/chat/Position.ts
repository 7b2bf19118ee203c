/**
 * A socket's place in its room, as clients have it: a text to keep and give back, and nothing to look into.
 *
 * ```
 *   1x4k2z9:1234        the room and its log, hashed : the offset of the last record that the socket has
 * ```
 *
 * A place of another room, or of another life of the topics, is recognised and ignored. A bare offset is taken as one of
 * this room and log. Places are passed as the last argument of events, where Socket.IO's own clients remember them and
 * give them back as `auth.offset`.
 */
import { naturalOf } from "@nimbus/domain/json"
import { type Incarnation, murmur2, type RoomId } from "@nimbus/domain/protocol"

/** What the places of a room begin with. */
export const markOf = (incarnation: Incarnation, room: RoomId): string =>
  (murmur2(encoder.encode(`${incarnation}\n${room}`)) >>> 0).toString(36)

/** `offset`: of the last record that is handed over; -1: there was none yet. */
export const positionAt = (mark: string, offset: number): string => `${mark}:${offset}`

/**
 * The offset that a client gave back; `"other"`: one of another room or log; `"unknown"`: nothing that was ever given
 * here; `undefined`: it gave none.
 */
export const offsetOf = (mark: string, given: unknown): number | "other" | "unknown" | undefined => {
  if (given === undefined || given === null) return undefined
  const [, itsMark, digits] = /^(?:([0-9a-z]{1,7}):)?(-1|\d+)$/.exec(textOf(given)) ?? []
  const offset = digits === "-1" && itsMark !== undefined ? -1 : naturalOf(digits ?? "")
  if (offset === undefined) return "unknown"
  return itsMark === undefined || itsMark === mark ? offset : "other"
}

const textOf = (given: unknown): string => (typeof given === "string" || typeof given === "number" ? String(given) : "")

const encoder = new TextEncoder()
