import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ClientId, EventId, RunId, type Seq, seqUnsafe } from "./Ids.ts"
import * as TaskLedger from "./TaskLedger.ts"

const clients = ["ann", "bob"].map((name) => ClientId.make(name))
const ids = ["e1", "e2"].map((name) => EventId.make(name))
const limits = { task_attempts: 3 }

/** What workers, zombies, clients and operators write, in any order and as often as they like. */
const Drawn = Schema.Struct({
  tag: Schema.Literals(["Event", "Begin", "Part", "Part", "Part", "Part", "End", "Stop", "StopId"]),
  id: Schema.Literals([0, 0, 0, 1, 1, 2, 3]),
  /** How far the task, the run and the part are from the latest of that id. */
  taskOff: Schema.Literals([0, 0, 0, 0, 0, 0, 1]),
  runOff: Schema.Literals([0, 0, 0, 0, 0, 1, 2]),
  partOff: Schema.Literals([0, 0, 0, 0, 0, -1, 1]),
  flag: Schema.Boolean,
})
const drawnRecords = Schema.Array(Drawn).check(Schema.isBetweenLength(80, 160))

interface Writer {
  readonly task: Seq
  run: number
  part: number
}

/** Writes as workers do who know what they have published, but for what is drawn to be off. */
const inputsOf = (drawn: ReadonlyArray<typeof Drawn.Type>): ReadonlyArray<TaskLedger.Input> => {
  const writers = [0, 1, 2, 3].map((): Array<Writer> => [])
  return drawn.map(({ flag, id, partOff, runOff, tag, taskOff }, index) => {
    const place = { offset: seqUnsafe(2 * index), clientId: clients[id >> 1]! }
    const resumes = id % 2 === 1
    const byId = { ...place, id: ids[id & 1]! }
    if (tag === "Event") {
      writers[id]!.push({ task: place.offset, run: 0, part: 0 })
      return { ...byId, _tag: tag, name: "ask", resumes, timestamp_ms: 1_000 * index }
    }
    if (tag === "StopId") return { ...byId, _tag: tag, by: flag ? "client" : "operator" }
    const writer = writers[id]!.at(-1 - taskOff) ?? { task: seqUnsafe(1), run: 0, part: 0 }
    const { part, task } = writer
    if (tag === "Stop") return { ...place, _tag: tag, task, by: flag ? "full" : "expired" }
    if (tag === "Begin" && runOff === 0) {
      writer.run++
      if (!resumes) writer.part = 0
    }
    if (tag === "Part" && runOff === 0 && partOff === 0) writer.part++
    const by = { ...place, task, run: RunId.make(`w.${writer.run - runOff + 2}`) }
    if (tag === "Begin") return { ...by, _tag: tag }
    const error = flag ? { code: "HANDLER_FAILED", message: "no" } : undefined
    return tag === "Part"
      ? { ...by, _tag: tag, part: Math.max(0, part + partOff) }
      : { ...by, _tag: tag, part: Math.max(0, part + partOff), error }
  })
}

/** An output, and the task as it was then. */
const taken = (state: TaskLedger.State, input: TaskLedger.Input): unknown => {
  const [output, ...others] = TaskLedger.step(state, input)
  assert.lengthOf(others, 0)
  return structuredClone(output)
}

/** What the log of one task may look like: each line of it is an invariant of the header. */
class Account {
  attempt = 0
  next = 0
  run: RunId | undefined = undefined
  isOpen = true

  take(input: TaskLedger.Input, output: Exclude<TaskLedger.Output, { readonly _tag: "Opened" | "Ignored" }>): void {
    assert(this.isOpen)
    switch (output._tag) {
      case "Began":
        assert(input._tag === "Begin" && this.run !== input.run)
        this.run = input.run
        if (!output.task.resumes) this.next = 0
        assert.strictEqual(output.task.attempt, ++this.attempt)
        return assert.strictEqual(output.task.next, this.next)
      case "Part":
        assert(input._tag === "Part" && input.run === this.run)
        assert.strictEqual(output.task.attempt, this.attempt)
        return assert.strictEqual(output.part, this.next++)
      case "Ended":
        assert.strictEqual(output.part, this.next)
        if (input._tag === "End") assert(input.run === this.run && input.part === this.next)
        else if (input._tag === "Begin") assert.strictEqual(this.attempt, limits.task_attempts)
        this.isOpen = false
    }
  }

  /** Whether this must not count. */
  ignores(input: TaskLedger.Input): boolean {
    if (!this.isOpen) return true
    if (input._tag === "Begin") return input.run === this.run
    return (input._tag === "Part" || input._tag === "End") && (input.run !== this.run || input.part !== this.next)
  }
}

/** Every task, by its seq. */
class Accounts {
  readonly all = new Map<Seq, Account>()

  take(input: TaskLedger.Input, [output]: ReadonlyArray<TaskLedger.Output>): void {
    assert(output !== undefined)
    if (output._tag === "Opened") return void this.all.set(output.task.seq, new Account())
    if (output._tag !== "Ignored") return this.all.get(output.task.seq)?.take(input, output)
    assert(input._tag !== "Event")
    if (input._tag !== "StopId") assert.isTrue(this.all.get(input.task)?.ignores(input) ?? true)
  }
}

const often = { arbitrary: { runs: 150 } }

describe("TaskLedger", () => {
  it.prop(
    "counts each part once, in order, of the latest run alone, and one end",
    { records: drawnRecords },
    ({ records }) => {
      const state = new TaskLedger.State(limits)
      const accounts = new Accounts()
      for (const input of inputsOf(records)) accounts.take(input, TaskLedger.step(state, input))
      const open = [...accounts.all].filter(([, { isOpen }]) => isOpen).map(([seq]) => seq)
      assert.deepStrictEqual(
        [...TaskLedger.openTasks(state)].map(({ seq }) => seq),
        open,
      )
    },
    often,
  )

  it.prop(
    "knows the same behind a commit, if it has read from the oldest record of that commit",
    {
      records: drawnRecords,
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120 })),
      ahead: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })),
    },
    ({ ahead, at, records }) => {
      const inputs = inputsOf(records)
      const commit = 2 * at
      const owner = new TaskLedger.State(limits)
      const verdicts: Array<unknown> = []
      let from: number = commit
      for (const [index, input] of inputs.entries()) {
        verdicts.push(taken(owner, input))
        // The commit stays behind what was read.
        if (index === at + ahead || (index === inputs.length - 1 && index < at + ahead))
          from = TaskLedger.oldest(owner, commit) ?? commit
      }
      const heir = new TaskLedger.State(limits)
      for (const [index, input] of inputs.entries()) {
        if (input.offset < from) continue
        const verdict = taken(heir, input)
        if (input.offset >= commit) assert.deepStrictEqual(verdict, verdicts[index])
      }
    },
    often,
  )

  const ann = { clientId: clients[0]! }
  const event = (seq: number, id = ids[0]!): TaskLedger.Input & { readonly _tag: "Event" } => ({
    ...ann,
    _tag: "Event",
    offset: seqUnsafe(seq),
    id,
    name: "ask",
    resumes: false,
    timestamp_ms: seq,
  })

  it("ends a task that was begun too often, and tells nobody of that attempt", () => {
    const state = new TaskLedger.State(limits)
    const { offset: task } = event(0)
    const begin = (n: number) =>
      TaskLedger.step(state, { ...ann, _tag: "Begin", offset: seqUnsafe(n), task, run: RunId.make(`w.${n}`) })[0]
    TaskLedger.step(state, event(0))
    for (let n = 1; n <= limits.task_attempts; n++) assert.strictEqual(begin(n)?._tag, "Began")
    const last = begin(limits.task_attempts + 1)
    assert(last?._tag === "Ended" && last.end === "failed")
    assert.strictEqual(last.error.code, "TASK_ATTEMPTS")
  })

  it("lets nobody stop, begin or continue the task of another client", () => {
    const state = new TaskLedger.State(limits)
    TaskLedger.step(state, event(0))
    const stranger = {
      clientId: clients[1]!,
      offset: seqUnsafe(1),
      task: seqUnsafe(0),
      run: RunId.make("w.1"),
      part: 0,
    }
    for (const input of [
      { ...stranger, _tag: "Begin" },
      { ...stranger, _tag: "Part" },
      { ...stranger, _tag: "End" },
      { ...stranger, _tag: "Stop", by: "client" },
      { ...stranger, _tag: "StopId", id: ids[0]!, by: "client" },
    ] as const)
      assert.deepStrictEqual(TaskLedger.step(state, input), [{ _tag: "Ignored", why: "unknown" }])
    assert.lengthOf([...TaskLedger.openTasks(state)], 1)
  })

  it("cancels the latest open task of an id that was used again, and then the one before", () => {
    const state = new TaskLedger.State(limits)
    for (const offset of [0, 2, 4]) TaskLedger.step(state, event(offset))
    const ends = [6, 8, 10, 12].map((offset) => {
      const cancel = { ...ann, _tag: "StopId", offset: seqUnsafe(offset), id: ids[0]!, by: "client" } as const
      const [output] = TaskLedger.step(state, cancel)
      return output?._tag === "Ended" ? output.task.seq : output
    })
    assert.deepStrictEqual(ends, [
      seqUnsafe(4),
      seqUnsafe(2),
      seqUnsafe(0),
      { _tag: "Ignored", why: "unknown" } as const,
    ])
    assert.strictEqual(state.byId.size, 0)
  })

  it("forgets what has ended below the commit", () => {
    const state = new TaskLedger.State(limits)
    for (let i = 0; i < 1_000; i++) {
      const opened = event(2 * i, EventId.make(`e${i}`))
      TaskLedger.step(state, opened)
      const stop = { ...ann, _tag: "StopId", offset: seqUnsafe(2 * i + 1), id: opened.id, by: "operator" } as const
      TaskLedger.step(state, stop)
      assert.strictEqual(TaskLedger.oldest(state, 2 * i + 1), 2 * i)
    }
    assert.strictEqual(TaskLedger.oldest(state, 2_000), undefined)
    assert.strictEqual(state.bySeq.size + state.ended.length + state.byId.size, 0)
  })
})
