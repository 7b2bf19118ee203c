/**
 * Messages that have no place in the history of their room: other producers wrote them without a key, or into another
 * partition than the room's.
 *
 * ```
 *   {"room":"r",…}, no key ────────────┐
 *   key r, but in another partition ───┴─▶ read by this gateway ─▶ every socket of r that is connected here
 * ```
 *
 * 1. A socket gets them as they are read, whether it is live or still reads what it missed. Who is away misses them: no
 *    offset stands for them.
 * 2. The offset beside them is how far the socket is in its own partition, so a client that reconnects with it misses
 *    nothing there.
 * 3. What was there when the gateway came is history, which they have not.
 */
import {
  type ChatMessage,
  decodeChat,
  isTombstone,
  roomChars,
  type RoomId,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { Result } from "effect"
import type { Counts } from "../Metrics.ts"
import type { Member } from "./Member.ts"

export interface OutOfPlaceOptions {
  readonly counts: Counts
  /** Gives it to these sockets, which are all of the room that are here. */
  readonly give: (room: RoomId, members: ReadonlySet<Member>, message: ChatMessage, record: StoredRecord) => void
}

export class OutOfPlace {
  readonly #options: OutOfPlaceOptions
  /** By room, whatever their state. */
  readonly #present = new Map<string, Set<Member>>()

  constructor(options: OutOfPlaceOptions) {
    this.#options = options
  }

  join(member: Member): void {
    const present = this.#present.get(member.room)
    if (present === undefined) this.#present.set(member.room, new Set([member]))
    else present.add(member)
  }

  leave(member: Member): void {
    const present = this.#present.get(member.room)
    present?.delete(member)
    if (present?.size === 0) this.#present.delete(member.room)
  }

  /** Takes a record that nobody was live for in this partition. */
  take(record: StoredRecord, partition: number): void {
    const { counts, give } = this.#options
    const { key } = record
    if (key.length > roomChars) return counts.add("chatNoRoom", 1)
    if (key !== "" && !this.#isElsewhere(key, partition)) return
    if (isTombstone(record)) return counts.add("chatSkipped", 1)
    const decoded = decodeChat(record)
    if (Result.isFailure(decoded)) return counts.add("chatSkipped", 1)
    const { room } = decoded.success
    if (room === undefined) return counts.add("chatNoRoom", 1)
    counts.add("chatOutOfPlace", 1)
    const present = this.#present.get(room)
    if (present !== undefined) give(room, present, decoded.success, record)
  }

  /** Whether there are sockets of this room that read another partition. */
  #isElsewhere(room: string, partition: number): boolean {
    for (const { conversation } of this.#present.get(room) ?? []) return conversation.partition !== partition
    return false
  }
}
