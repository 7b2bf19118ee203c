/** `grpc-timeout`: how long a client gives its call, as gRPC's HTTP/2 protocol writes it. */
import { Schema } from "effect"

/** At most eight digits and a unit: hours, minutes, seconds, milliseconds, microseconds, nanoseconds. */
export const Timeout = Schema.String.check(
  Schema.isPattern(/^\d{1,8}[HMSmun]$/, { message: "Expected up to 8 digits and one of H, M, S, m, u, n" }),
)

const units_ms: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 }

/** Timers take no longer one: a call that may take longer than 24 days has no deadline here, only in its client. */
const longest_ms = 2 ** 31 - 1

/** `undefined`: no deadline. */
export const timeoutOf = (timeout: typeof Timeout.Type | undefined): number | undefined => {
  if (timeout === undefined) return undefined
  const ms = Math.ceil(Number(timeout.slice(0, -1)) * (units_ms[timeout.slice(-1)] ?? 0))
  return ms > longest_ms ? undefined : ms
}
