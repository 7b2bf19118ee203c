/**
 * Whether a value is one of the ids and names of `Ids.ts`, decided without their schemas. The decoder of schemas weighs
 * more than all else that a client in a browser needs, so the SDK uses these; a property holds the two together.
 */
import type { ClientId, Cursor, EventId, Incarnation, Seq } from "./Ids.ts"
import type { StatusName } from "./Status.ts"

/** The cursor before the first record, as `start` of `Ids.ts` is. */
export const beginning = -1 as Cursor

/** Whether a value is text. */
export const isText = (u: unknown): u is string => typeof u === "string"

/** Text of 1 to `most` UTF-16 code units. */
const isTextUpTo = (u: unknown, most: number): boolean => isText(u) && u.length >= 1 && u.length <= most

/** Whether a value is an integer that a double holds exactly. */
export const isInteger = (u: unknown): u is number => Number.isSafeInteger(u)

const isFrom = (u: unknown, least: number): boolean => isInteger(u) && u >= least

/** Whether a value is a client id. */
export const isClientId = (u: unknown): u is ClientId => isText(u) && /^[A-Za-z0-9._:@-]{1,128}$/.test(u)

/** Whether a value is the id of an event: text of 1 to 128 UTF-16 code units. */
export const isEventId = (u: unknown): u is EventId => isTextUpTo(u, 128)

/** Whether a value is the name of an event: text of 1 to 128 UTF-16 code units. */
export const isEventName = (u: unknown): u is string => isTextUpTo(u, 128)

/** Whether a value is an incarnation: text of 1 to 256 UTF-16 code units. */
export const isIncarnation = (u: unknown): u is Incarnation => isTextUpTo(u, 256)

/** Whether a value is a cursor: an integer from -1 on. */
export const isCursor = (u: unknown): u is Cursor => isFrom(u, -1)

/** Whether a value is a seq: an integer from 0 on. */
export const isSeq = (u: unknown): u is Seq => isFrom(u, 0)

/** Whether a value is an epoch: an integer from 0 on. */
export const isEpoch = (u: unknown): boolean => isFrom(u, 0)

/** Whether a value is a status. */
export const isStatusName = (u: unknown): u is StatusName => u === "OFFLINE" || u === "REPLAYING" || u === "LIVE"

/** Whether a value is an object. An array is one, null is not. */
export const isObject = (u: unknown): u is Readonly<Record<string, unknown>> => typeof u === "object" && u !== null

/** Whether a value is an array of such items. */
export const isArrayOf = (u: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(u) && u.every(isItem)
