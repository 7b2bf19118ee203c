/** Where a local log keeps its blocks: the driver that each kind of storage has. */
import type { Effect } from "effect"
import type { Committed } from "../EventLog.ts"
import type { Incarnation } from "../../protocol/Ids.ts"
import type { ChunkLimits } from "../../Limits.ts"
import type { Block } from "./Block.ts"

/** What a partition keeps. Whole blocks go, the oldest first, and never the newest, from which the end is known. */
export interface Retention {
  /** Per partition. Beyond: the oldest go. */
  readonly retention_bytes?: number | undefined
  /** What was published longer ago goes. */
  readonly retention_age_ms?: number | undefined
}

/** One block that is to be written at the end of a partition. */
export interface Append {
  readonly topic: string
  readonly partition: number
  readonly block: Block
}

export interface GroupCommit extends Committed {
  readonly topic: string
  readonly group: string
  readonly partition: number
}

/** Errors of any kind become `LogUnavailable` with them as the cause. */
export interface LogStore<E> {
  readonly incarnation: Incarnation
  /** What is stored of a partition: the offsets `[earliest, end)`. */
  bounds(topic: string, partition: number): Effect.Effect<{ readonly earliest: number; readonly end: number }, E>
  /** All group commits stored. */
  readonly commits: Effect.Effect<ReadonlyArray<GroupCommit>, E>
  /**
   * Stores blocks and group commits in one step; succeeds once they are durable. Called one at a time. Each block begins
   * at its partition's end.
   */
  write(appends: ReadonlyArray<Append>, commits: ReadonlyArray<GroupCommit>): Effect.Effect<void, E>
  /**
   * Consecutive blocks from the one that holds `from` on, or the first after it: at least one if there is any, then
   * whole ones up to the limits. The first may be the rest of a block, beginning at `from`.
   */
  read(topic: string, partition: number, from: number, limits: ChunkLimits): Effect.Effect<ReadonlyArray<Block>, E>
  /** The earliest offset to keep by this retention: the beginning of a block. Drops nothing. */
  retained(topic: string, partition: number, retention: Retention, now_ms: number): Effect.Effect<number, E>
  /** Drops the blocks that end at or before `earliest`. */
  drop(topic: string, partition: number, earliest: number): Effect.Effect<void, E>
}
