/**
 * What of a gateway is for operators: the page, with the admin API that it asks, and the metrics. Each is on or off, and
 * all of them may be at an address of their own:
 *
 * | | at the gateway's address | at the operations' address |
 * | --- | --- | --- |
 * | `/healthz`, `/readyz` | always | where there is one |
 * | `/metrics` | unless it is off, or there is the other address; where there are locks, for a `viewer` | unless it is off |
 * | the admin API, the page | where somebody may use them, unless there is the other address | where somebody may use them |
 * | the transports of clients | always | never |
 *
 * Whoever reaches the operations' address may read the metrics, as scrapers do, with locks or without.
 */
import { Config, Option } from "effect"

export interface Switches {
  /** Default: on. */
  readonly metrics?: boolean
  /** Default: on, where there is an admin API. */
  readonly page?: boolean
  /** The address of their own. Default: they are at the gateway's. */
  readonly at?: { readonly host: string; readonly port: number } | undefined
}

/** `NIMBUS_METRICS`, `NIMBUS_PAGE`, and `NIMBUS_OPERATIONS_PORT` with `NIMBUS_OPERATIONS_HOST` (127.0.0.1). */
export const config = Config.all({
  metrics: Config.Boolean("NIMBUS_METRICS").pipe(Config.withDefault(true)),
  page: Config.Boolean("NIMBUS_PAGE").pipe(Config.withDefault(true)),
  host: Config.NonEmptyString("NIMBUS_OPERATIONS_HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.option(Config.Port("NIMBUS_OPERATIONS_PORT")),
}).pipe(
  Config.map(({ host, metrics, page, port }): Switches => ({
    metrics,
    page,
    at: Option.isSome(port) ? { host, port: port.value } : undefined,
  })),
)
