/**
 * How long Nimbus remembers a client that does not come, in ms: `NIMBUS_IDLE_DAYS`. What waits for it is kept as long
 * as mailboxes keep it, whatever this says: see docs/protocol.md.
 */
import { Config, Schema } from "effect"
import { idle_ms } from "../Limits.ts"

const day_ms = 24 * 60 * 60 * 1000

const days = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3_650 }))

/** `NIMBUS_IDLE_DAYS` in ms: from 1 to 3,650 days. */
export const config = Config.schema(days, "NIMBUS_IDLE_DAYS").pipe(
  Config.withDefault(idle_ms / day_ms),
  Config.map((days) => days * day_ms),
)
