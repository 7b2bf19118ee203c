/**
 * Whether a value is one of the ids and names of `Ids.ts`, decided without their schemas. The decoder of schemas weighs
 * more than all else that a client in a browser needs, so the SDK uses these; a property holds the two together.
 */
import type { ClientId, Cursor, EventId, Incarnation, Seq } from "./Ids.ts"
import type { StatusName } from "./Status.ts"

/** The cursor before the first record, as `start` of `Ids.ts` is. */
export const beginning = -1 as Cursor

export const isText = (u: unknown): u is string => typeof u === "string"

/** Text of 1 to `most` UTF-16 code units. */
const isTextUpTo = (u: unknown, most: number): boolean => isText(u) && u.length >= 1 && u.length <= most

export const isInteger = (u: unknown): u is number => Number.isSafeInteger(u)

const isFrom = (u: unknown, least: number): boolean => isInteger(u) && u >= least

/** Whether a value is a client id. */
export const isClientId = (u: unknown): u is ClientId => isText(u) && /^[A-Za-z0-9._:@-]{1,128}$/.test(u)

export const isEventId = (u: unknown): u is EventId => isTextUpTo(u, 128)

export const isEventName = (u: unknown): u is string => isTextUpTo(u, 128)

export const isIncarnation = (u: unknown): u is Incarnation => isTextUpTo(u, 256)

export const isCursor = (u: unknown): u is Cursor => isFrom(u, -1)

export const isSeq = (u: unknown): u is Seq => isFrom(u, 0)

export const isEpoch = (u: unknown): boolean => isFrom(u, 0)

export const isStatusName = (u: unknown): u is StatusName => u === "OFFLINE" || u === "REPLAYING" || u === "LIVE"

export const isObject = (u: unknown): u is Readonly<Record<string, unknown>> => typeof u === "object" && u !== null

export const isArrayOf = (u: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(u) && u.every(isItem)
