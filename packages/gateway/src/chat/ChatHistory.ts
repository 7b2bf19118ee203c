/**
 * Messages of a room that the log may no longer have, or has among too many others. Without an archive there are none,
 * and a socket that comes back too late is told what it lost.
 */
import type { RoomId, StoredRecord } from "@nimbus/domain"
import { Context, Effect } from "effect"

export interface HistoryPage {
  /** In order of offset, keyed by the room. */
  readonly records: ReadonlyArray<StoredRecord>
  /** What is not in `records` is not in the room, from the offset that was asked for up to before this one. */
  readonly next: number
}

export interface ChatHistoryShape {
  /** From an offset on, at most `limit` records. Where the archive has nothing for certain, `next` is `from`. */
  page(room: RoomId, partition: number, from: number, limit: number): Effect.Effect<HistoryPage>
}

export const ChatHistory = Context.Reference<ChatHistoryShape>("@nimbus/gateway/ChatHistory", {
  defaultValue: () => ({ page: (_room, _partition, from) => Effect.succeed({ records: [], next: from }) }),
})
