/** What a socket takes part in: a room, or the open chat. */
import type { Incarnation, RoomId } from "@nimbus/domain/protocol"

export interface Conversation {
  /** Of its topic, as the archive knows it. */
  readonly life: Incarnation
  /** What places of its sockets belong to: where its partition is another than once, places of then are not of it. */
  readonly home: Incarnation
  /** Its partition is not the one that its key would have among those of the mailboxes. */
  readonly isMoved: boolean
  readonly isOpen: boolean
  /** The key of its records. */
  readonly room: RoomId
  readonly partition: number
  /** What its places begin with. */
  readonly mark: string
}
