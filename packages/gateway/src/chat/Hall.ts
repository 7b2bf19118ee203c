/**
 * A topic of the chat as this gateway has it: the way in, and each of its partitions, read once for all sockets.
 *
 * | hall | topic | partitions | a message goes to |
 * | --- | --- | --- | --- |
 * | rooms | `chats` | all | the others in its room |
 * | open | `MESSAGES` | the one of `openRoom` | everyone, its sender too |
 */
import {
  type ChatMessage,
  type ChatMessageId,
  EventLog,
  type Incarnation,
  partitionOf,
  type RoomId,
  type StoredRecord,
  tellFailure,
} from "@nimbus/domain"
import { Effect, Schedule, Stream } from "effect"
import { type Intake, makeIntake } from "../delivery/Intake.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { Conversation } from "./Conversation.ts"
import { Lane } from "./Lane.ts"
import type { Member } from "./Member.ts"
import { markOf } from "./Position.ts"

export interface Hall {
  readonly topic: string
  /** Of its topic, as the archive and the places of its sockets know it. */
  readonly life: Incarnation
  readonly isOpen: boolean
  readonly intake: Intake<ChatMessageId>
  readonly lanes: ReadonlyArray<Lane>
  readonly laneOf: (conversation: Conversation) => Lane
  readonly conversation: (room: RoomId) => Conversation
}

export interface HallOptions extends Pick<Hall, "topic" | "life" | "isOpen"> {
  /** Those that are read; a message of another partition goes to nobody here. */
  readonly partitions: ReadonlyArray<number>
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
  const { catchUp, counts, isOpen, life, limits, memberOf, partitions, pass, send, tell, topic } = options
  const log = yield* EventLog
  const intake = yield* makeIntake<ChatMessageId>({
    topic,
    intake_bytes: limits.intake_bytes,
    counts,
    counted: { accepted: "chatMessages", failed: "chat messages" },
  })
  const ends = yield* Effect.forEach(partitions, (partition) =>
    Effect.map(log.end(topic, partition).pipe(Effect.retry(Schedule.spaced(retry_ms))), (end) => ({ partition, end })),
  )
  const lanes = ends.map(
    (place) =>
      new Lane({
        ...place,
        topic,
        isOpen,
        limits,
        counts,
        send: (...args) => send(hall, ...args),
        tell: (...args) => tell(hall, ...args),
        memberOf,
        catchUp,
        pass,
      }),
  )
  const byPartition = new Map(lanes.map((lane) => [lane.partition, lane]))
  const hall: Hall = {
    topic,
    life,
    isOpen,
    intake,
    lanes,
    laneOf: ({ partition }) => byPartition.get(partition)!,
    conversation: (room) => ({
      life,
      isOpen,
      room,
      partition: partitionOf(room, log.partitions),
      mark: markOf(life, room),
    }),
  }

  const readLane = (lane: Lane) =>
    Effect.suspend(() => Stream.runForEach(log.tail(topic, lane.partition, lane.position), lane.take)).pipe(
      Effect.catchTag("LogUnavailable", (error) => {
        counts.addTo("failed", "read chat messages")
        return Effect.andThen(tellFailure("read chat messages", error), Effect.sleep(retry_ms))
      }),
      Effect.forever,
      Effect.orDie,
    )
  for (const lane of lanes) yield* Effect.forkScoped(readLane(lane))
  return hall
})
