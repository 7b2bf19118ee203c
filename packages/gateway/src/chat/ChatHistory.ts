/**
 * Messages of a room from the archive, if there is one: what the log has no more, or has among too many others. Without
 * one a socket that comes back too late is told what it lost.
 */
import type { ArchiveUnavailable, CorruptRecord } from "@nimbus/domain/errors"
import { type ChatMessage, Cursor, type StoredRecord } from "@nimbus/domain/protocol"
import { Archive, archiveKeyOf, fromArchived } from "@nimbus/domain/services"
import { Effect, Option, type Result } from "effect"
import type { Conversation } from "./Conversation.ts"

export interface OldMessage {
  readonly message: Result.Result<ChatMessage, CorruptRecord>
  readonly at: Pick<StoredRecord, "offset" | "timestamp">
}

export interface HistoryPage {
  /** In order of offset. */
  readonly messages: ReadonlyArray<OldMessage>
  /** What is not in `messages` is not in the room, from the offset that was asked for up to before this one. */
  readonly next: number
}

/** One page from an offset on. Where the archive has nothing for certain, `next` is `from`. */
export type ChatHistory = (conversation: Conversation, from: number) => Effect.Effect<HistoryPage, ArchiveUnavailable>

/** `results`, `bytes`: the most that one page gives. */
export const makeChatHistory = Effect.fnUntraced(function* (limit: {
  readonly results: number
  readonly bytes: number
}) {
  const archive = yield* Effect.serviceOption(Archive)
  if (Option.isNone(archive)) return nothing
  const { page: ask, position } = archive.value
  const page: ChatHistory = Effect.fnUntraced(function* ({ isMoved, life: incarnation, partition, room }, from) {
    // Above its position the archive may have some messages and not others.
    const upTo = yield* position({ incarnation, kind: "messages", partition })
    if (upTo === undefined || upTo <= from) return { messages: [], next: from }
    const after = Cursor.make(from - 1)
    const key = archiveKeyOf(room, isMoved ? partition : undefined)
    const { more, records } = yield* ask({ incarnation, kind: "messages", key, after, limit })
    const last = records.at(-1)
    return {
      messages: records
        .filter(({ place }) => place < upTo)
        .map(({ place, timestamp, value }) => ({
          message: fromArchived(room, value),
          at: { offset: place, timestamp },
        })),
      next: more && last !== undefined ? Math.min(last.place + 1, upTo) : upTo,
    }
  })
  return page
})

const nothing: ChatHistory = (_conversation, from) => Effect.succeed({ messages: [], next: from })
