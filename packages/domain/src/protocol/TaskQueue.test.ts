import { assert, describe, it } from "@effect/vitest"
import { ClientId, EventId, RunId, seqUnsafe } from "./Ids.ts"
import { Schema } from "effect"
import { Dice } from "../testing/Dice.ts"
import { Slots } from "./Slots.ts"
import { SubjectShares } from "./SubjectShares.ts"
import * as TaskQueue from "./TaskQueue.ts"

const limits = { at_once: 4, client_at_once: 2, subject_share: 9, fenced_ticks: 2 }

/** A queue of one partition, which is told what stands in the topic. */
const make = (options: Partial<TaskQueue.QueueOptions> = {}) => {
  const slots = new Slots(limits.at_once, () => Infinity)
  const shares = new SubjectShares(limits.subject_share)
  const state = new TaskQueue.State({ ...limits, slots, shares, worker: "w", next: 0, end: 0, ...options })
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

  it("leaves slots free for others, however many clients a subject has, and begins the rest as these are done", () => {
    const slots = new Slots(8, () => Infinity)
    const { read, state, tell } = make({ slots, at_once: 8, shares: new SubjectShares(3) })
    const flood = Array.from({ length: 12 }, (_, i) => ({ ...task(i + 1, `m${i}`), subject: "mallory" }))
    assert.lengthOf(read(...flood), 6)
    assert.deepStrictEqual(read({ ...task(20, "ann"), subject: "ann" }), [["Begin", 20, "w.7"]])
    assert.deepStrictEqual(read(task(21, "bob")), [["Begin", 21, "w.8"]])
    assert.strictEqual(slots.taken, 8)
    assert.isTrue(TaskQueue.hasTurns(state))
    for (const [seq, run] of [
      [1, "w.1"],
      [2, "w.2"],
    ] as const) {
      tell({ _tag: "Done", seq: seqUnsafe(seq), run: RunId.make(run) })
    }
    // Four of it are left, and two are free.
    assert.deepStrictEqual(tell({ _tag: "Freed" }), [["Begin", 7, "w.9"]])
    for (let seq = 1; seq <= 12; seq++) read({ ...of(seq, `m${seq - 1}`), _tag: "Ended" })
    assert.isFalse(TaskQueue.hasTurns(state))
    assert.strictEqual(slots.taken, 2)
  })

  it.prop(
    "never begins more of a subject than its share, and all in the end, whatever is done and ends first",
    [Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 }))],
    ([seed]) => {
      const dice = new Dice(seed)
      const slots = new Slots(5, (name) => (name === "draw" ? 2 : Infinity))
      const shares = new SubjectShares(2)
      const { read, state } = make({ slots, at_once: 5, shares })
      const open = new Map<number, string>()
      const begun: Array<number> = []
      const take = (outputs: ReturnType<typeof read>): void => {
        for (const [tag, seq] of outputs) if (tag === "Begin") begun.push(seq)
      }
      const tasks = Array.from({ length: dice.below(40) }, (_, i) => {
        const client = dice.oneOf(["a", "b", "c", "d", "e"])
        return { ...task(i, client, dice.oneOf(["ask", "draw"])), subject: dice.pick(["s", "t", undefined]) }
      })
      while (tasks.length > 0 || open.size > 0) {
        const next = tasks.splice(0, dice.below(6))
        for (const { clientId, seq } of next) open.set(seq, clientId)
        take(read(...next))
        assert.isAtMost(slots.taken, 5)
        // One that waits may end as one that runs does.
        const seq = dice.pick([...open.keys()])
        if (seq === undefined) continue
        const client = open.get(seq)
        open.delete(seq)
        take(read({ ...of(seq, client), _tag: "Ended" }))
        const isStuck = slots.taken === 0 && open.size > 0
        assert.isFalse(isStuck, `${[...open.keys()].join()} wait, and nothing runs`)
      }
      assert.strictEqual(new Set(begun).size, begun.length)
      assert.deepStrictEqual([slots.taken, shares.takenBy("s"), shares.takenBy("t")], [0, 0, 0])
      assert.isFalse(TaskQueue.hasTurns(state))
      assert.strictEqual(state.clients.size, 0)
    },
  )

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
