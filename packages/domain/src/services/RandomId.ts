/** Ids that nobody else has made. */
import { Effect, Random } from "effect"

const half = Effect.map(Random.nextIntBetween(0, 2 ** 48), (n) => n.toString(16).padStart(12, "0"))

/** 96 random bits, as 24 hexadecimal digits: unique among all that could ever be made. */
export const randomId = Effect.zipWith(half, half, (high, low) => high + low)
