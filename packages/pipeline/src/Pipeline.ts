/** The pipeline in one process: every role, or those that are named; each independent of the others. */
import { Config, Layer, Schema } from "effect"
import * as EventConsumer from "./EventConsumer.ts"
import type { EventConsumerLimits, ReplayConsumerLimits, ResultConsumerLimits, StatusManagerLimits } from "./Limits.ts"
import * as ReplayConsumer from "./ReplayConsumer.ts"
import * as ResultConsumer from "./ResultConsumer.ts"
import { StatusManager } from "./StatusManager.ts"

export interface PipelineOptions {
  readonly eventConsumer?: Partial<EventConsumerLimits> | undefined
  readonly resultConsumer?: Partial<ResultConsumerLimits> | undefined
  readonly replayConsumer?: Partial<ReplayConsumerLimits> | undefined
  readonly statusManager?: Partial<StatusManagerLimits> | undefined
}

/** Every role. Bounds not named are the defaults. */
export const layer = (options: PipelineOptions = {}) =>
  Layer.mergeAll(
    EventConsumer.layerWith(options.eventConsumer ?? {}),
    ResultConsumer.layerWith(options.resultConsumer ?? {}),
    ReplayConsumer.layerWith(options.replayConsumer ?? {}),
    StatusManager.layerWith(options.statusManager ?? {}),
  )

const roleNames = ["event-consumer", "result-consumer", "replay-consumer", "status-manager"]

const Roles = Schema.String.check(
  Schema.makeFilter<string>(
    (text) => text.split(",").every((name) => roleNames.includes(name)) || `must be some of ${roleNames.join(",")}`,
  ),
)

/** The roles that `NIMBUS_ROLES` names, separated by commas; without it all. */
export const config = Config.schema(Roles, "NIMBUS_ROLES").pipe(
  Config.withDefault(roleNames.join(",")),
  Config.map((text) => text.split(",")),
)

/** These roles, as `config` has them. */
export const layerOf = (roles: ReadonlyArray<string>) => {
  const where = <E, R>(role: string, layer: Layer.Layer<never, E, R>) => (roles.includes(role) ? layer : Layer.empty)
  return Layer.mergeAll(
    where("event-consumer", EventConsumer.layer),
    where("result-consumer", ResultConsumer.layer),
    where("replay-consumer", ReplayConsumer.layer),
    where("status-manager", Layer.effectDiscard(Layer.build(StatusManager.layer))),
  )
}
