import { assert, describe, it } from "@effect/vitest"
import { taskLimits } from "@nimbus/domain/limits"
import { ClientId, EventId, seqUnsafe } from "@nimbus/domain/protocol"
import { Tasks } from "./Tasks.ts"

const a = ClientId.make("a")
const b = ClientId.make("b")

/** Each test's event at an offset is asked at this time. */
const at_ms = (offset: number): number => 1_000 + 10 * offset

const made = (limits: Partial<typeof taskLimits> = {}) => {
  const tasks = new Tasks({
    limits: { ...taskLimits, ...limits },
    tasks: new Map([["ask", { resumes: false }]]),
    from: 0,
  })
  const ask = (offset: number, clientId = a) =>
    tasks.event(offset, at_ms(offset), clientId, {
      type: "event",
      id: EventId.make(`e${offset}`),
      name: "ask",
      data: null,
    })
  const stop = (offset: number, task: number, clientId = a) =>
    tasks.write(offset, clientId, { task: seqUnsafe(task), do: "stop", by: "operator" })
  const taken = (most = 10) => tasks.takeStops(most).map(({ by, task }) => `${task} ${by}`)
  return { ask, stop, taken, tasks }
}

describe("Tasks", () => {
  it("asks once for the end of each task that is too old, the oldest first", () => {
    const { ask, stop, taken, tasks } = made({ task_ttl_ms: 100 })
    tasks.live()
    for (const offset of [0, 1, 2]) ask(offset)
    tasks.expire(at_ms(0) + 99)
    assert.isFalse(tasks.hasStops)
    tasks.expire(at_ms(1) + 100)
    tasks.expire(at_ms(1) + 100)
    assert.deepStrictEqual(taken(1), ["0 expired"])
    tasks.expire(at_ms(1) + 100)
    assert.deepStrictEqual(taken(), ["1 expired"])
    assert.isFalse(tasks.hasStops)
    for (const [i, task] of [0, 1].entries()) stop(3 + i, task)
    tasks.expire(at_ms(2) + 100)
    assert.deepStrictEqual(taken(), ["2 expired"])
  })

  it("asks for nothing before all that was there is read: it may have ended since", () => {
    const { ask, stop, taken, tasks } = made({ client_open_tasks: 1, task_ttl_ms: 100 })
    for (const offset of [0, 1, 2]) ask(offset)
    tasks.expire(at_ms(9) + 100)
    assert.isFalse(tasks.hasStops)
    stop(3, 0)
    stop(4, 1)
    tasks.live()
    assert.deepStrictEqual(taken(), ["2 full"])
  })

  it("of too many it counts only those that may stay, and knows again who has room when others end", () => {
    const { ask, stop, taken, tasks } = made({ client_open_tasks: 2, partition_open_tasks: 3 })
    tasks.live()
    for (const offset of [0, 1, 2]) ask(offset)
    for (const offset of [3, 4]) ask(offset, b)
    assert.deepStrictEqual(taken(), ["2 full", "4 full"])
    assert.strictEqual(tasks.size.open, 5)
    stop(5, 2)
    stop(6, 0)
    ask(7, b)
    assert.isFalse(tasks.hasStops)
    ask(8)
    assert.deepStrictEqual(taken(), ["8 full"])
    for (const [offset, task] of [1, 8].entries()) stop(9 + offset, task)
    for (const [offset, task] of [3, 4, 7].entries()) stop(11 + offset, task, b)
    assert.deepStrictEqual(tasks.size, { open: 0, known: 7, stops: 0, spilled: 0 })
    assert.isUndefined(tasks.oldest(14))
    assert.strictEqual(tasks.size.known, 0)
  })

  it("keeps what became of a record until it is read again, or is gone", () => {
    const { ask, tasks } = made({ spilled_verdicts: 2 })
    const verdict = ask(0) ?? assert.fail("no verdict")
    tasks.spill(0, verdict)
    assert.isFalse(tasks.isFull)
    tasks.spill(1, verdict)
    assert.isTrue(tasks.isFull)
    assert.strictEqual(tasks.again(1)?._tag, "Opened")
    assert.isUndefined(tasks.again(1))
    tasks.gone(1)
    assert.isUndefined(tasks.again(0))
  })
})
