/** The pipeline in one process: every role, or those that are named; each independent of the others. */
import { Archive } from "@nimbus/domain"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { NoStorage } from "./Errors.ts"
import * as EventConsumer from "./EventConsumer.ts"
import {
  type EventConsumerLimits,
  type ReplayConsumerLimits,
  type ResultConsumerLimits,
  type StatusManagerLimits,
  type StorageWriterLimits,
  storageWriterLimits,
} from "./Limits.ts"
import * as ReplayConsumer from "./ReplayConsumer.ts"
import * as ResultConsumer from "./ResultConsumer.ts"
import { StatusManager } from "./StatusManager.ts"
import * as StorageWriter from "./StorageWriter.ts"

export interface PipelineOptions {
  readonly eventConsumer?: Partial<EventConsumerLimits> | undefined
  readonly resultConsumer?: Partial<ResultConsumerLimits> | undefined
  readonly replayConsumer?: Partial<ReplayConsumerLimits> | undefined
  readonly statusManager?: Partial<StatusManagerLimits> | undefined
  readonly storageWriter?: Partial<StorageWriterLimits> | undefined
}

/** Every role; the storage writer where there is an archive. Bounds not named are the defaults. */
export const layer = (options: PipelineOptions = {}) =>
  Layer.mergeAll(
    EventConsumer.layerWith(options.eventConsumer ?? {}),
    ResultConsumer.layerWith(options.resultConsumer ?? {}),
    ReplayConsumer.layerWith(options.replayConsumer ?? {}),
    StatusManager.layerWith(options.statusManager ?? {}),
    storageWriter({ ...storageWriterLimits, ...options.storageWriter }, Effect.succeed(Layer.empty)),
  )

/** `without`: what to do where there is no archive. */
const storageWriter = <E>(limits: StorageWriterLimits, without: Effect.Effect<Layer.Layer<never>, E>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const archive = yield* Effect.serviceOption(Archive)
      if (Option.isNone(archive)) return yield* without
      return StorageWriter.layerWith(limits).pipe(Layer.provide(Layer.succeed(Archive, archive.value)))
    }),
  )

const roleNames = ["event-consumer", "result-consumer", "replay-consumer", "status-manager", "storage-writer"]

const Roles = Schema.String.check(
  Schema.makeFilter<string>(
    (text) => text.split(",").every((name) => roleNames.includes(name)) || `must be some of ${roleNames.join(",")}`,
  ),
)

/** The roles that `NIMBUS_ROLES` names, separated by commas; none: all for which there is what they need. */
export const config = Config.option(Config.schema(Roles, "NIMBUS_ROLES")).pipe(
  Config.map(Option.map((text): ReadonlyArray<string> => text.split(","))),
)

/** These roles, as `config` has them. */
export const layerOf = (roles: Option.Option<ReadonlyArray<string>>) => {
  const named = Option.getOrElse(roles, () => roleNames)
  const where = <E, R>(role: string, layer: Layer.Layer<never, E, R>) => (named.includes(role) ? layer : Layer.empty)
  const withoutStorage = Option.isSome(roles) ? Effect.fail(new NoStorage()) : Effect.succeed(Layer.empty)
  return Layer.mergeAll(
    where("event-consumer", EventConsumer.layer),
    where("result-consumer", ResultConsumer.layer),
    where("replay-consumer", ReplayConsumer.layer),
    where("status-manager", Layer.effectDiscard(Layer.build(StatusManager.layer))),
    where("storage-writer", storageWriter(storageWriterLimits, withoutStorage)),
  )
}
