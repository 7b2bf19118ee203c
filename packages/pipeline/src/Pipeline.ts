/** The whole pipeline in one process: every role, each independent of the others. */
import { Layer } from "effect"
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

/** Bounds not named are the defaults. */
export const layer = (options: PipelineOptions = {}) =>
  Layer.mergeAll(
    EventConsumer.layerWith(options.eventConsumer ?? {}),
    ResultConsumer.layerWith(options.resultConsumer ?? {}),
    ReplayConsumer.layerWith(options.replayConsumer ?? {}),
    StatusManager.layerWith(options.statusManager ?? {}),
  )
