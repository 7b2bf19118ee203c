/**
 * A chat topic at this gateway: the intake of its messages, and a reader for each partition, shared by all sockets.
 *
 * | hall | topic | partitions | a message goes to |
 * | --- | --- | --- | --- |
 * | rooms | `chats` | all | the others in its room |
 * | open | `MESSAGES` | the one of `openRoom` | everyone, its sender too |
 *
 * The partition of a room follows from the partition count of the topic when the gateway started. Partitions that are
 * added later are read too, from their beginning. Other producers may write to them immediately, and what they write
 * for a room is out of place here until the gateway restarts.
 */
import {
  type ChatMessage,
  type ChatMessageId,
  Incarnation,
  openRoom,
  partitionOf,
  type RoomId,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import { EventLog, logFailure, RandomIds } from "@nimbus/domain/services"
import { Effect, Schedule, Stream } from "effect"
import { type Intake, makeIntake } from "../delivery/Intake.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { Conversation } from "./Conversation.ts"
import { PartitionReader } from "./PartitionReader.ts"
import type { Member } from "./Member.ts"
import { markOf } from "./Position.ts"

export interface Hall {
  readonly topic: string
  /** Of its topic, as the archive and the places of its sockets know it. */
  readonly life: Incarnation
  readonly isOpen: boolean
  readonly intake: Intake<ChatMessageId>
  readonly readers: ReadonlyArray<PartitionReader>
  readonly readerOf: (conversation: Conversation) => PartitionReader
  readonly conversation: (room: RoomId) => Conversation
}

export interface HallOptions extends Pick<Hall, "topic" | "life" | "isOpen"> {
  readonly limits: GatewayLimits
  readonly counts: Counts
  readonly send: (hall: Hall, room: RoomId, message: ChatMessage, record: StoredRecord, sender?: Member) => void
  /** Tells all live sockets of a room how far they are. */
  readonly tell: (hall: Hall, room: RoomId, offset: number) => void
  readonly memberOf: (id: string) => Member | undefined
  readonly catchUp: (member: Member) => void
  /** Takes a record that nobody here is live for, of a partition that is read. */
  readonly pass: (record: StoredRecord, partition: number) => void
}

/** Between two attempts to read a partition. */
export const retry_ms = 250

export const makeHall = Effect.fnUntraced(function* (options: HallOptions) {
  const { catchUp, counts, isOpen, life, limits, memberOf, pass, send, tell, topic } = options
  const log = yield* EventLog
  const { partitions: count } = log.facts(topic)
  const partitions = isOpen ? [partitionOf(openRoom, count)] : upTo(0, count)
  const intake = yield* makeIntake<ChatMessageId>({
    topic,
    partitions: count,
    intake_bytes: limits.intake_bytes,
    counts,
    counted: { accepted: "chatMessages", failed: "chat messages" },
  })
  const ends = yield* Effect.forEach(partitions, (partition) =>
    Effect.map(log.end(topic, partition).pipe(Effect.retry(Schedule.spaced(retry_ms))), (end) => ({ partition, end })),
  )
  const ids = yield* RandomIds
  const readerAt = (place: { readonly partition: number; readonly end: number }) =>
    new PartitionReader({
      ...place,
      topic,
      isOpen,
      incarnation: life,
      secret: ids.uuid(),
      limits,
      counts,
      send: (...args) => send(hall, ...args),
      tell: (...args) => tell(hall, ...args),
      memberOf,
      catchUp,
      pass,
    })
  const readers = ends.map(readerAt)
  const byPartition = new Map(readers.map((reader) => [reader.partition, reader]))
  const hall: Hall = {
    topic,
    life,
    isOpen,
    intake,
    readers,
    readerOf: ({ partition }) => byPartition.get(partition)!,
    conversation: (room) => {
      const partition = partitionOf(room, count)
      const isMoved = partition !== partitionOf(room, log.partitions)
      const home = isMoved ? Incarnation.make(`${life}#${partition}`) : life
      return { life, home, isMoved, isOpen, room, partition, mark: markOf(home, room) }
    },
  }

  const readPartition = (reader: PartitionReader) =>
    Effect.suspend(() => Stream.runForEach(log.tail(topic, reader.partition, reader.position), reader.take)).pipe(
      Effect.catchTag("LogUnavailable", (error) => {
        counts.addTo("failed", "read chat messages")
        return Effect.andThen(logFailure("read chat messages", error), Effect.sleep(retry_ms))
      }),
      Effect.forever,
      Effect.orDie,
    )
  for (const reader of readers) yield* Effect.forkScoped(readPartition(reader))

  let read = count
  const readAdded = Effect.suspend(() => {
    const added = upTo(read, log.facts(topic).partitions)
    if (added.length === 0) return Effect.void
    read += added.length
    return Effect.andThen(
      Effect.logWarning(
        `the topic ${topic} has ${read} partitions now: what others write into the new ones is given to who is there, and has a place in the history of its room once the gateways have started anew`,
      ),
      Effect.forEach(added, (partition) => Effect.forkScoped(readPartition(readerAt({ partition, end: 0 }))), {
        discard: true,
      }),
    )
  })
  // Of the open chat one partition is read.
  if (!isOpen) yield* readAdded.pipe(Effect.repeat(Schedule.spaced(limits.tick_ms)), Effect.forkScoped)
  return hall
})

/** From `from` on. */
const upTo = (from: number, count: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(0, count - from) }, (_, i) => from + i)
