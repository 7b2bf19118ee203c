/**
 * What gateways keep in the log where there are locks: revocations and the audit. An installation without locks has
 * neither their topics nor these services, and nobody reads or writes there.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import * as AuditLog from "./AuditLog.ts"
import type { EventLog } from "./EventLog.ts"
import * as RevocationsLog from "./RevocationsLog.ts"
import { Topics } from "./Topics.ts"

/** Provides `Revocations` and `Audit` if there are locks. Its type does not say so, because there may be none. */
export const layer: Layer.Layer<never, never, EventLog | Topics> = Layer.effectContext(
  Effect.flatMap(
    Topics,
    ({ revocations }): Effect.Effect<Context.Context<never>, never, EventLog | Topics | Scope.Scope> =>
      revocations === undefined
        ? Effect.succeed(Context.empty())
        : Layer.build(Layer.merge(RevocationsLog.layer, AuditLog.layer)),
  ),
)
