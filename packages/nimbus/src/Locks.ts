/** The locks of one process, as `NIMBUS_AUTH_…` says. What they need is loaded where there are some. */
import { Effect, Layer } from "effect"

/** Who may do what; without locks it provides nothing. */
export const layer = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("@nimbus/adapters/locks")),
    ({ layer }) => layer,
  ),
)
