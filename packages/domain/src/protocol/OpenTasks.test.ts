import { assert, describe, it } from "@effect/vitest"
import { ClientId, EventId, RunId, Seq } from "./Ids.ts"
import type { TaskNote } from "./TaskRecords.ts"
import { OpenTasks } from "./OpenTasks.ts"

const ada = ClientId.make("ada")
const seq = (n: number) => Seq.make(n)

const open = (task: number): TaskNote => ({
  task: seq(task),
  is: "open",
  id: EventId.make(`e${task}`),
  name: "ask",
  data: null,
})
const begun = (task: number, run: string, attempt: number): TaskNote => ({
  task: seq(task),
  is: "begun",
  run: RunId.make(run),
  attempt,
  next: 0,
})
const progress = (task: number): TaskNote => ({ task: seq(task), is: "progress", attempt: 1, part: 0, data: "x" })
const ended = (task: number): TaskNote => ({ task: seq(task), is: "ended" })

/** The notes of a partition in their order, each at the time of its offset. */
const given = (notes: ReadonlyArray<TaskNote>, limit = 100) => {
  const tasks = new OpenTasks(limit)
  notes.forEach((note, offset) => tasks.add({ offset, clientId: ada, time: 1_000 + offset, note }))
  return tasks
}

/** Each as `seq:worker/attempt@since`, or `seq@since` where it waits. */
const shown = (tasks: OpenTasks) =>
  [...tasks.rows()].map(({ run, seq, since }) =>
    run === undefined ? `${seq}@${since}` : `${seq}:${run.worker}/${run.attempt}@${run.since}`,
  )

describe("OpenTasks", () => {
  it("has what was opened and has not ended, the oldest first, whatever else is noted", () => {
    const tasks = given([open(1), open(2), open(3), begun(2, "w.1", 1), progress(2), ended(1)])
    assert.deepStrictEqual(shown(tasks), ["2:w/1@1003", "3@1002"])
    assert.deepStrictEqual([...tasks.rows()][1], {
      clientId: ada,
      seq: seq(3),
      id: EventId.make("e3"),
      name: "ask",
      since: 1_002,
    })
    assert.deepStrictEqual(shown(given([open(1), ended(1)])), [])
  })

  it("shows the latest attempt, at its worker and since it began", () => {
    const tasks = given([open(1), begun(1, "a.b.7", 1), begun(1, "c.1", 2)])
    assert.deepStrictEqual(shown(tasks), ["1:c/2@1002"])
    assert.deepStrictEqual(shown(given([open(1), begun(1, "a.b.7", 1)])), ["1:a.b/1@1001"])
  })

  it("is not changed by notes that are written again", () => {
    const first = [open(1), begun(1, "a.1", 1), begun(1, "b.1", 2)]
    assert.deepStrictEqual(shown(given([...first, ...first])), ["1:b/2@1002"])
  })

  it("knows nothing of a task whose opening it has not seen", () => {
    assert.deepStrictEqual(shown(given([begun(1, "a.1", 1), progress(1), ended(1)])), [])
  })

  it("forgets what the commit has passed, as by a note that was lost", () => {
    const tasks = given([open(1), open(2), open(3)])
    tasks.commit(2)
    assert.deepStrictEqual(shown(tasks), ["3@1002"])
  })

  it("keeps no more than its limit, and says that there are more until the commit has passed them", () => {
    const tasks = given([open(1), open(2), open(3), ended(1)], 2)
    assert.deepStrictEqual(shown(tasks), ["2@1001"])
    assert.isTrue(tasks.hasMore)
    tasks.commit(2)
    assert.isTrue(tasks.hasMore)
    tasks.commit(3)
    assert.isFalse(tasks.hasMore)
    assert.isFalse(given([open(1), open(2)], 2).hasMore)
  })
})
