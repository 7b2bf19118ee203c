/**
 * The buckets of every duration that is measured: from 0.5 ms to a minute, each a quarter wider than the one before, so
 * that a quantile read from them is off by less than that.
 */
const first_ms = 0.5
const last_ms = 60_000
const factor = 1.25
const count = Math.ceil(Math.log(last_ms / first_ms) / Math.log(factor))

/** In seconds, with three digits. */
export const secondsBoundaries: ReadonlyArray<number> = [
  ...Array.from({ length: count }, (_, i) => Number(((first_ms * factor ** i) / 1000).toPrecision(3))),
  last_ms / 1000,
]
