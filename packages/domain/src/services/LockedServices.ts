/**
 * What gateways keep in the log where there are locks: revocations and the audit. An installation without locks has
 * neither their topics nor these services, and nobody reads or writes there.
 */
import { type Config, Context, Effect, Layer, type Scope } from "effect"
import * as AuditLog from "./AuditLog.ts"
import type { EventLog } from "./EventLog.ts"
import { firstIssuer } from "./Locked.ts"
import * as RevocationsLog from "./RevocationsLog.ts"
import { Topics } from "./Topics.ts"

/** Provides `Revocations` and `Audit` if there are locks. Its type does not say so, because there may be none. */
export const layer: Layer.Layer<never, Config.ConfigError, EventLog | Topics> = Layer.effectContext(
  Effect.gen(function* (): Effect.fn.Return<
    Context.Context<never>,
    Config.ConfigError,
    EventLog | Topics | Scope.Scope
  > {
    const { revocations } = yield* Topics
    if (revocations === undefined) return Context.empty()
    const issuer = yield* firstIssuer
    return yield* Layer.build(Layer.merge(RevocationsLog.layerWith({ issuer }), AuditLog.layer))
  }),
)
