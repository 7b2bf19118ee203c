/**
 * Brings a socket from where it is to where its partition's reader is, and makes it live there.
 *
 * | it is | it gets what it missed from |
 * | --- | --- |
 * | within what memory has | memory |
 * | before that | the log |
 * | before the log's earliest, or far behind | the archive, as far as that goes, then the log |
 *
 * A few at a time read the log or the archive. Who can't take more gives up its place until it can.
 */
import { EventLog } from "@nimbus/domain/services"
import { Effect, PartitionedSemaphore, Stream } from "effect"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import { makeChatHistory } from "./ChatHistory.ts"
import type { PartitionReader } from "./PartitionReader.ts"
import type { Member } from "./Member.ts"

/** Done once the socket is live, or gone. */
export type CatchUp = (member: Member, reader: PartitionReader) => Effect.Effect<void>

export const makeCatchUp = Effect.fnUntraced(function* (limits: GatewayLimits, counts: Counts) {
  const log = yield* EventLog
  const page_bytes = limits.socket_buffer_bytes
  const history = yield* makeChatHistory({ results: limits.chat.turn_records, bytes: page_bytes })
  // By partition. As many may wait as there are sockets, and to release one of `Semaphore` costs as much as there are.
  const turns = yield* PartitionedSemaphore.make<number>({ permits: limits.chat.catch_ups })

  const readLog = (member: Member, reader: PartitionReader) =>
    log.tail(reader.topic, reader.partition, member.next).pipe(
      Stream.takeUntil((chunk) => {
        if (chunk.from > member.next) skip(member, chunk.from)
        for (const record of chunk.records) {
          if (record.offset < member.next) continue
          if (member.isFull || member.state === "gone") return true
          if (record.key === member.room) reader.give(member, record)
          member.next = record.offset + 1
        }
        member.next = Math.max(member.next, chunk.next)
        return member.next >= reader.recentFrom
      }),
      Stream.runDrain,
    )

  /** Whether the archive had anything to say. */
  const readArchive = Effect.fnUntraced(function* (member: Member, reader: PartitionReader) {
    const page = yield* history(member.conversation, member.next)
    if (page.next <= member.next) return false
    for (const { at, message } of page.messages) {
      if (member.isFull || member.state === "gone") return true
      member.give(message, at, reader.repeats.firstOf(at.offset))
      member.next = at.offset + 1
    }
    member.next = page.next
    return true
  })

  const read = Effect.fnUntraced(function* (member: Member, reader: PartitionReader) {
    counts.add("chatCatchUps", 1)
    const earliest = yield* log.earliest(reader.topic, reader.partition)
    if (member.next < earliest) {
      // What the log has no more, the archive has or nobody: it is waited for.
      if (yield* readArchive(member, reader)) return
    } else if (reader.position - member.next > limits.chat.archive_after_records) {
      if (yield* Effect.catch(readArchive(member, reader), () => Effect.succeed(false))) return
    }
    yield* readLog(member, reader)
  })

  const step = (member: Member, reader: PartitionReader): Effect.Effect<void> => {
    if (member.isFull) return member.room_left.await
    if (member.next < reader.recentFrom) {
      return turns
        .withPermit(reader.partition)(read(member, reader))
        .pipe(
          Effect.catch((error) => {
            counts.addTo("failed", "read chat history")
            return Effect.andThen(Effect.logDebug("a socket waits for what it missed", error), Effect.sleep(retry_ms))
          }),
        )
    }
    return Effect.andThen(
      Effect.sync(() => reader.giveRecent(member)),
      Effect.yieldNow,
    )
  }

  return ((member, reader) =>
    Effect.suspend(() => {
      if (member.state === "gone") return Effect.succeed(true)
      if (member.next < reader.position || member.isFull) return Effect.as(step(member, reader), false)
      reader.join(member)
      return Effect.succeed(true)
    }).pipe(Effect.repeat({ until: (isDone) => isDone }), Effect.asVoid)) satisfies CatchUp
})

/** The log begins later than where the socket is, and no archive goes back there. */
const skip = (member: Member, from: number): void => {
  member.socket.emit("lost", { from: member.next, upTo: from - 1 })
  member.next = from
}

/** Between two attempts to read what does not answer. */
const retry_ms = 250
