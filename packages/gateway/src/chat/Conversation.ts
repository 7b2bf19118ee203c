/** What a socket takes part in: a room, or the open chat. */
import type { Incarnation, RoomId } from "@nimbus/domain"

export interface Conversation {
  /** Of its topic, as the archive and the places of its sockets know it. */
  readonly life: Incarnation
  readonly isOpen: boolean
  /** The key of its records. */
  readonly room: RoomId
  readonly partition: number
  /** What its places begin with. */
  readonly mark: string
}
