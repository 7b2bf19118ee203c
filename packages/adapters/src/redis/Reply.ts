/** Checks the replies of Redis. All functions throw on any other reply: see `RedisConnection`. */

/** Bytes, or `undefined` for nil. */
export const bytes = (reply: unknown): Buffer | undefined => {
  if (reply === null) return undefined
  if (Buffer.isBuffer(reply)) return reply
  throw new TypeError(`Redis answered ${typeof reply} instead of bytes`)
}

export const text = (reply: unknown): string | undefined => bytes(reply)?.toString()

export const integer = (reply: unknown): number => {
  if (typeof reply === "number") return reply
  throw new TypeError(`Redis answered ${typeof reply} instead of an integer`)
}

export const list = (reply: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(reply)) return reply
  throw new TypeError(`Redis answered ${typeof reply} instead of a list`)
}

/** Digits, as the scripts write numbers that an integer reply can't carry, or `undefined` for nil. */
export const number = (reply: unknown): number | undefined => {
  const digits = text(reply)
  return digits === undefined ? undefined : Number(digits)
}
