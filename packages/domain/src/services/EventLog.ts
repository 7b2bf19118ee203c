/**
 * The log: partitioned topics of records, kept in order, read from any retained offset.
 *
 * Contract, checked by `eventLogSuite` of `@nimbus/domain/testing` for every implementation:
 *
 * - `publish` appends a chunk to one partition, whole and in order, at consecutive offsets; it succeeds once the
 *   records are durable. Publishes to one partition are appended in the order in which they were called, retries
 *   included. A failed publish may have been appended, so publishing again may write the chunk twice.
 * - Within a consumer group a partition has one owner at a time. A new member or a leaving one moves partitions:
 *   the old owner's `read` stream ends and its `commit` fails with `PartitionRevoked`, then the new owner gets it.
 * - A chunk covers the offsets `[from, next)` without a hole: what is not in `records` is not in the log. A chunk may
 *   be empty, because not every offset has a record. A `read` that starts before the earliest retained offset starts
 *   there instead, and `from` has that offset. A reader that must not miss anything compares `from` with the previous
 *   `next`.
 * - A record of another producer that can't be read is in the chunk as one record with a reason
 *   (`StoredRecord.unreadable`). No record is omitted without notice, and no later record has to wait.
 * - A commit is the next offset to read with the group's own `metadata`. Both are written in one step, and the last
 *   commit wins as a whole. A log may lose the last commits in a crash. It then returns an earlier commit, also as a
 *   whole.
 * - Records of a transaction that is open or was aborted are never read. `end` is the offset up to which records can be
 *   read at present. After it there may be an open transaction, and later records of others, which become readable when
 *   the transaction has ended.
 * - Reads are pulled: nothing is fetched ahead of demand beyond a bounded buffer.
 */
import { Context, type Effect, type Stream } from "effect"
import type { LogError, PartitionRevoked, PublishError } from "../Errors.ts"
import type { Incarnation } from "../protocol/Ids.ts"
import type { Chunk, Committed } from "../protocol/Reads.ts"
import type { LogRecord } from "../protocol/Records.ts"

export type { Chunk, Committed } from "../protocol/Reads.ts"

/** What is known of a topic now. */
export interface TopicFacts {
  /**
   * Its partition count. That of events, results and backlog is `EventLog.partitions` and stays; others may get more.
   */
  readonly partitions: number
  /** Which life of the topic its offsets belong to: `EventLog.incarnation`, or one of its own. */
  readonly incarnation: Incarnation
  /** The most that one publish may take up, as `roomOf` counts its records. */
  readonly publish_bytes: number
  /** How long a record may be read after it was written. Infinity: for ever, or nobody knows. */
  readonly retention_ms: number
}

/** Where a read begins. `"committed"` is the group's commit, or the earliest where it has none. */
export type Position = number | "earliest" | "committed"

/** A partition while it is ours. */
export interface AssignedPartition {
  readonly topic: string
  readonly partition: number
  /** The group's commit; `undefined` if there never was one or it has expired. */
  readonly committed: Effect.Effect<Committed | undefined, LogError | PartitionRevoked>
  /**
   * Reads from `position` on; never ends but by revocation. To seek is to stop one read and start another; one read at
   * a time.
   */
  read(position: Position): Stream.Stream<Chunk, LogError>
  /**
   * Commits: `next` is the next offset to read, and may be lower than an earlier commit. `metadata` goes with it, at
   * most `commitLimits.metadata_bytes` in UTF-8, which is the caller's to keep to: a log may refuse the whole commit
   * beyond.
   */
  commit(next: number, metadata?: string): Effect.Effect<void, LogError | PartitionRevoked>
  /** Done once the partition is no longer ours. */
  readonly revoked: Effect.Effect<void>
}

/** The log: topics in partitions, published to by batch and read by consumer groups or from any offset. */
export class EventLog extends Context.Service<
  EventLog,
  {
    /** The partition count of the topics that seqs travel through, and of the mailboxes. */
    readonly partitions: number
    /** Which life of those topics this is. */
    readonly incarnation: Incarnation
    /** Of a topic that was declared; of another what is true of most. */
    facts(topic: string): TopicFacts
    /** Appends a chunk; returns the offset of its first record. `LogRefused`: nothing was appended. */
    publish(topic: string, partition: number, records: ReadonlyArray<LogRecord>): Effect.Effect<number, PublishError>
    /** Joins a consumer group for as long as the scope lives; emits each partition when it is assigned. */
    subscribe(topic: string, group: string): Stream.Stream<AssignedPartition, LogError>
    /** Reads one partition without a group: for direct delivery and for tools. Never ends. */
    tail(topic: string, partition: number, position: number | "earliest"): Stream.Stream<Chunk, LogError>
    /** The first retained offset. */
    earliest(topic: string, partition: number): Effect.Effect<number, LogError>
    /** The offset after the last record that can be read: a read comes so far without anything more being written. */
    end(topic: string, partition: number): Effect.Effect<number, LogError>
    /** A group's commit, seen from outside: for lag. */
    committed(topic: string, group: string, partition: number): Effect.Effect<Committed | undefined, LogError>
  }
>()("@nimbus/domain/EventLog") {}
