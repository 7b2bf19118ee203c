/**
 * Messages as the archive keeps them.
 *
 * | key | holds the messages |
 * | --- | --- |
 * | `r` | of room r in r's own partition: its history |
 * | `r#2` | of room r without a key, or written into partition 2 though it is not r's: of these there may be another at each offset |
 * | `#2` | in no room, of partition 2 |
 *
 * Rooms are written as `escapeName` has them, so none of these is taken for another. A value always has the same three
 * fields, null where there is nothing, around the data as its producer spelled it:
 *
 * ```
 * {"id":"m1","sender":"WJ7Zq…","data":"hello"}
 * {"id":null,"sender":null,"data":{"temperature":21.5}}
 * ```
 *
 * What was archived before has other producers' values as they were, without these fields: then all of it is the data.
 */
import { Result } from "effect"
import type { ArchiveRecord } from "./Archive.ts"
import { checked, parsed, readChat, type RoomMessage, wrappedIn } from "../protocol/Chat.ts"
import type { CorruptRecord } from "../Errors.ts"
import { escapeName, type RoomId } from "../protocol/Ids.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { LogRecord, StoredRecord } from "../protocol/Records.ts"

/** Where the partition of a record stands among how many. */
export interface PartitionAmong {
  readonly partition: number
  readonly partitions: number
}

/** Whether a record has a place in the history of the room that is its key. */
export const isInPlace = ({ key }: LogRecord, { partition, partitions }: PartitionAmong): boolean =>
  key !== "" && partitionOf(key, partitions) === partition

/** The key of a room's messages; of those out of place, by the partition that they stand in. */
export const archiveKeyOf = (room: RoomId | undefined, outOfPlaceIn?: number): string =>
  `${room === undefined ? "" : escapeName(room)}${outOfPlaceIn === undefined ? "" : `#${outOfPlaceIn}`}`

/** The row of a record, its tombstones apart. */
export const toArchived = (
  record: StoredRecord,
  at: PartitionAmong,
): Result.Result<Pick<ArchiveRecord, "key" | "value">, CorruptRecord> =>
  Result.map(readChat(record), ({ isBare, message: { id, room, sender }, text }) => ({
    key: archiveKeyOf(room, room !== undefined && isInPlace(record, at) ? undefined : at.partition),
    value: isBare
      ? `{"id":${JSON.stringify(id ?? null)},"sender":${JSON.stringify(sender ?? null)},"data":${text}}`
      : text,
  }))

/** Reads the value of a row. */
export const fromArchived = (room: RoomId, value: string): Result.Result<RoomMessage, CorruptRecord> =>
  Result.flatMap(parsed(value), (json) => {
    const { data, names } = wrappedIn(json, true) ?? { data: json, names: {} }
    return Result.map(checked(data, value), (data) => ({ room, ...names, data }))
  })
