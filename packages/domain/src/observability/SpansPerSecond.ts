import { Context } from "effect"
import { serviceSpanLimits } from "../Limits.ts"

/** Traces that calls to services begin per second, in this process (`ServiceSpans`). 0: the services have no spans. */
export const SpansPerSecond = Context.Reference<number>("@nimbus/domain/SpansPerSecond", {
  defaultValue: () => serviceSpanLimits.spans_per_second,
})
