/**
 * Asks for the end of tasks that are too many or too old, by records in the events topic: what ends a task stands in the log,
 * for every owner of the partition alike. One publish is under way, and each is made again until the log has it.
 */
import { Effect } from "effect"
import { TaskRecords } from "@nimbus/domain/protocol"
import { type AssignedPartition, EventLog } from "@nimbus/domain/services"
import type { EventConsumerLimits } from "../Limits.ts"
import type { Changed } from "./Changed.ts"
import { publishUntilAcknowledged } from "./Publish.ts"
import type { Tasks, TaskStop } from "./Tasks.ts"

export interface TaskStopsOptions {
  readonly assigned: AssignedPartition
  readonly limits: EventConsumerLimits
  readonly tasks: Tasks
  readonly changed: Changed
}

/** Never ends. */
export const stopTasks = Effect.fnUntraced(function* ({ assigned, changed, limits, tasks }: TaskStopsOptions) {
  const { partition, topic } = assigned
  const log = yield* EventLog
  const until = changed.waiter()
  for (;;) {
    yield* until(() => tasks.hasStops)
    const stops = tasks.takeStops(limits.chunk.chunk_records)
    yield* Effect.logWarning(`ends ${stops.length} tasks`, { partition, first: stops[0] })
    yield* publishUntilAcknowledged(log, topic, partition, stops.map(recordOf), limits)
  }
})

const recordOf = ({ by, clientId, task }: TaskStop) => ({
  key: clientId,
  value: TaskRecords.encodeTask({ task, do: "stop", by }),
})
