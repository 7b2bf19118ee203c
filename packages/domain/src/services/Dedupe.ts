/**
 * In how many records of a partition an id is recognised: `NIMBUS_DEDUPE_RECORDS`. The event consumer decides by it, and
 * gateways tell their clients.
 */
import { Config, Schema } from "effect"
import { repeatLimits } from "../Limits.ts"

const records = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))

/** From 1, which recognises none, to a million. */
export const config = Config.schema(records, "NIMBUS_DEDUPE_RECORDS").pipe(
  Config.withDefault(repeatLimits.dedupe_records),
)
