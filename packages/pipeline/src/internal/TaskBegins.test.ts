import { assert, describe, it } from "@effect/vitest"
import { Alarms, EventLog, Topics } from "@nimbus/domain/services"
import { ClientId, EventId, RunId, seqUnsafe } from "@nimbus/domain/protocol"
import { Effect, Stream } from "effect"
import { taskWorkerLimits } from "../Limits.ts"
import { append, inTestEnvironment, raw } from "../testing/TestEnvironment.ts"
import * as TaskBegins from "./TaskBegins.ts"
import type { TaskSender } from "./TaskWriter.ts"

const task = {
  clientId: ClientId.make("ann"),
  seq: seqUnsafe(0),
  id: EventId.make("e1"),
  name: "ask",
  offset: 0,
  subject: undefined,
}
const run = RunId.make("w.1")

describe("TaskBegins", () => {
  it.live("are lost when the event consumer is past them, and what it has written was read, and not before", () =>
    Effect.gen(function* () {
      const log = yield* EventLog
      const { events, tasks } = yield* Topics
      const alarms = yield* Alarms
      const senders: Array<TaskSender> = []
      const writer = { add: (sender: TaskSender) => senders.push(sender), bytes: 0, isIdle: true, failed: Effect.never }
      const begins = yield* TaskBegins.make(0, { ...taskWorkerLimits, begun_wait_ms: 0 }, writer)
      const commit = (next: number) =>
        log.subscribe(events, "nimbus-event-consumer").pipe(
          Stream.take(1),
          Stream.runForEach((assigned) => assigned.commit(next)),
        )
      yield* append(events, raw("ann", "an event"), raw("ann", "the begin"))
      yield* append(tasks, raw("ann", "a note"))
      begins.add(task, run)
      assert.deepStrictEqual(yield* begins.look(0), [], "it is not in the log yet")
      assert.deepStrictEqual(yield* alarms.warnings, [])
      senders[0]?.settled(1, 1)
      for (let look = 0; look < 5; look++) assert.deepStrictEqual(yield* begins.look(1), [])
      assert.lengthOf(yield* alarms.warnings, 1)
      yield* commit(1)
      for (let look = 0; look < 5; look++) assert.deepStrictEqual(yield* begins.look(1), [])
      yield* commit(2)
      for (let look = 0; look < 5; look++) assert.deepStrictEqual(yield* begins.look(0), [])
      assert.deepStrictEqual(
        (yield* begins.look(1)).map((lost) => lost.run),
        [run],
      )
      begins.delete(run)
      assert.deepStrictEqual(yield* begins.look(1), [])
      assert.deepStrictEqual(yield* alarms.warnings, [])
    }).pipe(inTestEnvironment()),
  )
})
