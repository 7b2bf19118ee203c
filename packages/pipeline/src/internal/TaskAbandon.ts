/**
 * Ends tasks whose clients stay away, where the tasks say so: the event consumer is told to stop them.
 *
 * A client is away while the registry has it as OFFLINE, or on a gateway whose lease has run out. Of one that the registry
 * does not know nothing is assumed: it may have been wiped. How long a client is away is measured from when this worker
 * first saw it, so another worker, or one that starts over, measures anew.
 */
import { Clock, Effect } from "effect"
import type { RegistryUnavailable } from "@nimbus/domain/errors"
import { type ClientId, type PodId, type Seq, Status, type TaskQueue, TaskRecords } from "@nimbus/domain/protocol"
import { Registry, type Task } from "@nimbus/domain/services"
import type { TaskSender, TaskWriter } from "./TaskWriter.ts"

/** Clients that are asked for at once. */
const clients_at_once = 1_000

export interface TaskAbandonOptions {
  readonly tasks: ReadonlyMap<string, Task<never>>
  readonly queue: TaskQueue.State
  readonly writer: TaskWriter
}

/** A look, from time to time. */
export const make = Effect.fnUntraced(function* ({
  queue,
  tasks,
  writer,
}: TaskAbandonOptions): Effect.fn.Return<Effect.Effect<void, RegistryUnavailable>, never, Registry> {
  const registry = yield* Registry
  const isAsked = [...tasks.values()].some(({ abandon_after_ms }) => abandon_after_ms !== undefined)
  if (!isAsked) return Effect.void
  /** Since when a client is away. */
  let since = new Map<ClientId, number>()
  /** Those that are told to stop, while they are open. */
  let stopped = new Set<Seq>()

  const awayOf = Effect.fnUntraced(function* (clientIds: ReadonlyArray<ClientId>, livePods: ReadonlySet<PodId>) {
    const away: Array<ClientId> = []
    for (let i = 0; i < clientIds.length; i += clients_at_once) {
      const some = clientIds.slice(i, i + clients_at_once)
      const statuses = yield* registry.statuses(some)
      for (const [j, status] of statuses.entries()) {
        if (status !== undefined && Status.seenWith(status, livePods) === "OFFLINE") away.push(some[j]!)
      }
    }
    return away
  })
  return Effect.gen(function* () {
    const limited = [...queue.tasks.values()].flatMap((task) => {
      const after_ms = tasks.get(task.name)?.abandon_after_ms
      return after_ms === undefined ? [] : [{ task, after_ms }]
    })
    stopped = new Set(limited.flatMap(({ task: { seq } }) => (stopped.has(seq) ? seq : [])))
    const clientIds = [...new Set(limited.map(({ task }) => task.clientId))]
    const livePods = new Set(clientIds.length === 0 ? [] : yield* registry.livePods)
    const away = yield* awayOf(clientIds, livePods)
    const now_ms = yield* Clock.currentTimeMillis
    since = new Map(away.map((clientId) => [clientId, since.get(clientId) ?? now_ms]))
    for (const { after_ms, task } of limited) {
      const from_ms = since.get(task.clientId)
      if (from_ms === undefined || now_ms - from_ms < after_ms || stopped.has(task.seq)) continue
      stopped.add(task.seq)
      const value = TaskRecords.encodeTask({ task: task.seq, do: "stop", by: "abandoned" })
      writer.add(nobody, { key: task.clientId, value })
    }
  })
})

/** A stop is not of a run. */
const nobody: TaskSender = { isClosed: false, settled: () => {} }
