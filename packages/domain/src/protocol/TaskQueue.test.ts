import { assert, describe, it } from "@effect/vitest"
import { ClientId, EventId, RunId, seqUnsafe } from "./Ids.ts"
import { Slots } from "./Slots.ts"
import * as TaskQueue from "./TaskQueue.ts"

const limits = { at_once: 4, client_at_once: 2, fenced_ticks: 2 }

/** A queue of one partition, which is told what stands in the topic. */
const make = (options: Partial<TaskQueue.QueueOptions> = {}) => {
  const slots = new Slots(limits.at_once, () => Infinity)
  const state = new TaskQueue.State({ ...limits, slots, worker: "w", next: 0, end: 0, ...options })
  const tell = (input: TaskQueue.Input): ReadonlyArray<readonly [string, number, string]> =>
    TaskQueue.step(state, input).map(({ _tag, run, task }) => [_tag, task.seq, run])
  type Unplaced<A> = A extends unknown ? Omit<A, "offset"> : never
  const read = (...records: ReadonlyArray<Unplaced<TaskQueue.TaskRecord>>) => {
    const from = state.finished.end
    const placed = records.map((record, i) => Object.assign({}, record, { offset: from + i }))
    return tell({ _tag: "Chunk", records: placed, next: from + records.length })
  }
  return { state, tell, read, slots }
}

const of = (seq: number, client = "ann") => ({ clientId: ClientId.make(client), seq: seqUnsafe(seq) })
const task = (seq: number, client?: string, name = "ask") =>
  ({ ...of(seq, client), _tag: "Task", id: EventId.make(`e${seq}`), name }) as const
const began = (seq: number, run: string, attempt: number) =>
  ({ ...of(seq), _tag: "Began", run: RunId.make(run), attempt, next: 0 }) as const

describe("TaskQueue", () => {
  it("begins nothing until it has read what was there, and nothing that has ended by then", () => {
    const { read } = make({ end: 3 })
    assert.deepStrictEqual(read(task(1), task(2)), [])
    assert.deepStrictEqual(read({ ...of(1), _tag: "Ended" }), [["Begin", 2, "w.1"]])
  })

  it("gives the slots of a client, and of a name of a client, and lets others pass", () => {
    const { read, tell } = make({ limitOfClient: (name) => (name === "draw" ? 1 : undefined) })
    assert.deepStrictEqual(
      read(task(1), task(2), task(3), task(4, "bob", "draw"), task(5, "bob", "draw"), task(6, "bob")).map(
        ([, seq]) => seq,
      ),
      [1, 4, 6, 2],
    )
    tell({ _tag: "Done", seq: seqUnsafe(4), run: RunId.make("w.2") })
    assert.deepStrictEqual(tell({ _tag: "Freed" }), [["Begin", 5, "w.5"]])
  })

  it("gives a run that has failed, or that nobody has heard of, another in its slot", () => {
    const { read, slots, tell } = make()
    read(task(1))
    assert.deepStrictEqual(read(began(1, "w.1", 1)), [["Start", 1, "w.1"]])
    const again = { _tag: "Again", seq: seqUnsafe(1), run: RunId.make("w.1") } as const
    assert.deepStrictEqual(tell(again), [["Begin", 1, "w.2"]])
    assert.deepStrictEqual(tell(again), [], "of a run that it has no more")
    assert.strictEqual(slots.taken, 1)
    assert.deepStrictEqual(read(began(1, "w.2", 2)), [["Start", 1, "w.2"]])
  })

  it("takes what the consumer writes again for what it is, and a run of another worker for the end of its own", () => {
    const { read, tell } = make()
    read(task(1))
    read(began(1, "v.1", 1), began(1, "v.2", 2))
    for (let tick = 0; tick < 2; tick++) tell({ _tag: "Tick" })
    assert.deepStrictEqual(read(began(1, "w.2", 3)), [["Start", 1, "w.2"]])
    assert.deepStrictEqual(read(began(1, "v.1", 1), began(1, "v.2", 2), began(1, "w.2", 3)), [])
    assert.deepStrictEqual(read(began(1, "v.9", 4)), [["Interrupt", 1, "w.2"]])
    assert.deepStrictEqual(tell({ _tag: "Tick" }), [])
    assert.deepStrictEqual(tell({ _tag: "Tick" }), [["Begin", 1, "w.3"]])
  })

  it("leaves its slots to others when it is given up, and begins nothing more", () => {
    const { read, slots, state, tell } = make()
    read(task(1), task(2), task(3))
    assert.strictEqual(slots.taken, 2)
    TaskQueue.abandon(state)
    assert.strictEqual(slots.taken, 0)
    assert.deepStrictEqual(tell({ _tag: "Freed" }), [])
  })

  it("counts those that wait by name", () => {
    const { read, state } = make()
    read(task(1), task(2), task(3), task(4))
    assert.strictEqual(TaskQueue.waitingOf(state, "ask"), 2)
    read({ ...of(3), _tag: "Ended" }, { ...of(1), _tag: "Ended" })
    assert.strictEqual(TaskQueue.waitingOf(state, "ask"), 0)
  })
})
