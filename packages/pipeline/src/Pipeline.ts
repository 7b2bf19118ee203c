/** The pipeline in one process: every role, or those that are named; each independent of the others. */
import { Archive } from "@nimbus/domain/services"
import { RoleControl } from "@nimbus/domain/admin"
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
  type TaskWorkerLimits,
} from "./Limits.ts"
import * as ReplayConsumer from "./ReplayConsumer.ts"
import * as ResultConsumer from "./ResultConsumer.ts"
import * as RoleSwitches from "./RoleSwitches.ts"
import { StatusManager } from "./StatusManager.ts"
import * as StorageWriter from "./StorageWriter.ts"
import * as TaskWorker from "./TaskWorker.ts"

/** The bounds of each role, where they are not the defaults. */
export interface PipelineOptions {
  readonly eventConsumer?: Partial<EventConsumerLimits> | undefined
  readonly resultConsumer?: Partial<ResultConsumerLimits> | undefined
  readonly replayConsumer?: Partial<ReplayConsumerLimits> | undefined
  readonly statusManager?: Partial<StatusManagerLimits> | undefined
  readonly storageWriter?: Partial<StorageWriterLimits> | undefined
  readonly taskWorker?: Partial<TaskWorkerLimits> | undefined
}

/** The bounds that the environment sets. */
export const settings: Config.Config<PipelineOptions> = Config.all({
  eventConsumer: EventConsumer.config,
  taskWorker: TaskWorker.config,
})

/** Every role; the storage writer where there is an archive. Bounds not named are the defaults. */
export const layer = (options: PipelineOptions = {}) => {
  const consumers = consumersOf(options)
  return Layer.mergeAll(
    consumers["event-consumer"],
    consumers["result-consumer"],
    consumers["replay-consumer"],
    consumers["storage-writer"],
    consumers["task-worker"],
    StatusManager.layerWith(options.statusManager ?? {}),
  )
}

/** The same, and each consumer behind a switch: see `RoleSwitches`. */
export const layerSwitched = (options: PipelineOptions = {}) => {
  const consumers: RoleSwitches.Roles<Layer.Error<Consumer>, Layer.Services<Consumer>> = consumersOf(options)
  return Layer.mergeAll(
    Layer.effect(RoleControl, RoleSwitches.make(consumers)),
    StatusManager.layerWith(options.statusManager ?? {}),
  )
}

const consumersOf = (options: PipelineOptions) => ({
  "event-consumer": EventConsumer.layerWith(options.eventConsumer ?? {}),
  "result-consumer": ResultConsumer.layerWith(options.resultConsumer ?? {}),
  "replay-consumer": ReplayConsumer.layerWith(options.replayConsumer ?? {}),
  "storage-writer": storageWriter({ ...storageWriterLimits, ...options.storageWriter }, Effect.succeed(Layer.empty)),
  "task-worker": TaskWorker.layerWith(options.taskWorker ?? {}),
})

type Consumers = ReturnType<typeof consumersOf>
type Consumer = Consumers[keyof Consumers]

/** `without`: what to do where there is no archive. */
const storageWriter = <E>(limits: StorageWriterLimits, without: Effect.Effect<Layer.Layer<never>, E>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const archive = yield* Effect.serviceOption(Archive)
      if (Option.isNone(archive)) return yield* without
      return StorageWriter.layerWith(limits).pipe(Layer.provide(Layer.succeed(Archive, archive.value)))
    }),
  )

const roleNames = [
  "event-consumer",
  "result-consumer",
  "replay-consumer",
  "status-manager",
  "storage-writer",
  "task-worker",
]

const Roles = Schema.String.check(
  Schema.makeFilter<string>(
    (text) => text.split(",").every((name) => roleNames.includes(name)) || `must be some of ${roleNames.join(",")}`,
  ),
)

/** The roles that `NIMBUS_ROLES` names, separated by commas; none: all for which there is what they need. */
export const config = Config.option(Config.schema(Roles, "NIMBUS_ROLES")).pipe(
  Config.map(Option.map((text): ReadonlyArray<string> => text.split(","))),
)

/** For people: "pipeline", or what it does of it. */
export const rolesText = (roles: Option.Option<ReadonlyArray<string>>): string =>
  Option.match(roles, { onNone: () => "pipeline", onSome: (names) => names.join(", ") })

/** These roles, as `config` has them, with the bounds of `settings`. */
export const layerOf = (roles: Option.Option<ReadonlyArray<string>>, options: PipelineOptions = {}) => {
  const named = Option.getOrElse(roles, () => roleNames)
  const where = <E, R>(role: string, layer: Layer.Layer<never, E, R>) => (named.includes(role) ? layer : Layer.empty)
  const withoutStorage = Option.isSome(roles) ? Effect.fail(new NoStorage()) : Effect.succeed(Layer.empty)
  return Layer.mergeAll(
    where("event-consumer", EventConsumer.layerWith(options.eventConsumer ?? {})),
    where("result-consumer", ResultConsumer.layer),
    where("replay-consumer", ReplayConsumer.layer),
    where("status-manager", Layer.effectDiscard(Layer.build(StatusManager.layer))),
    where("storage-writer", storageWriter(storageWriterLimits, withoutStorage)),
    where("task-worker", TaskWorker.layerWith(options.taskWorker ?? {})),
  )
}
