import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { finishedAbove } from "./FinishedSet.ts"
import { ClientId, EventId, Incarnation, type RunId, type Seq, seqUnsafe } from "./Ids.ts"
import { Slots } from "./Slots.ts"
import { SubjectShares } from "./SubjectShares.ts"
import * as TaskLedger from "./TaskLedger.ts"
import * as TaskQueue from "./TaskQueue.ts"

/**
 * The ledger and the queues of several workers over two logs, in every order that a few dice give: each of them may be
 * slow, die, start over from an old commit, or go on as a zombie after another has its partition.
 */

const life = Incarnation.make("a life")
const clients = ["ann", "bob"].map((name) => ClientId.make(name))
const parts_each = 3
const ledgerLimits = { task_attempts: 1_000 }

type Unplaced<A> = A extends unknown ? Omit<A, "offset"> : never

/** mulberry32 (Tommy Ettinger). */
class Dice {
  #state: number
  constructor(seed: number) {
    this.#state = seed
  }
  below(n: number): number {
    let t = (this.#state += 0x6d2b79f5)
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** What the client of a task sees of it. */
interface Seen {
  readonly seq: Seq
  readonly task: Seq
  readonly attempt: number
  readonly part: number
  readonly end: string | undefined
  /** Who published it. */
  readonly run: RunId | undefined
}

/** An event consumer. One that was replaced may go on for a while, and write what it had in hand late. */
interface Consumer {
  readonly ledger: TaskLedger.State
  read: number
  /** Its notes since the commit. */
  notes: Array<Unplaced<TaskQueue.TaskRecord>>
}

class World {
  readonly dice: Dice
  readonly events: Array<Unplaced<TaskLedger.Input>> = []
  readonly topic: Array<Unplaced<TaskQueue.TaskRecord>> = []
  readonly seen = new Map<number, Seen>()
  readonly resumes = new Set<Seq>()
  consumer: Consumer = { ledger: new TaskLedger.State(ledgerLimits), read: 0, notes: [] }
  zombies: Array<Consumer> = []
  committed = 0
  from = 0
  workers: Array<Worker> = []
  workerCommit = { next: 0, metadata: "" }
  made = 0

  constructor(seed: number) {
    this.dice = new Dice(seed)
  }

  publish(record: Unplaced<TaskLedger.Input>): void {
    this.events.push(record)
  }

  /** A publish that failed may have reached the log, and is repeated. */
  publishDoubtfully(record: Unplaced<TaskLedger.Input>): void {
    this.publish(record)
    if (this.dice.below(8) === 0) this.publish(record)
  }

  /** The event consumer takes the next record. */
  consume(consumer = this.consumer): boolean {
    const record = this.events[consumer.read]
    if (record === undefined) return false
    const offset = seqUnsafe(consumer.read++)
    const [output] = TaskLedger.step(consumer.ledger, { ...record, offset })
    if (output === undefined) return true
    const notes = this.carryOut(record, offset, output)
    consumer.notes.push(...notes)
    this.topic.push(...notes)
    return true
  }

  /** Another has its partition, and it does not know yet: what it had in hand is written again, or it reads on. */
  haunt(zombie: Consumer): void {
    const note = zombie.notes.shift()
    if (note !== undefined && this.dice.below(2) === 0) this.topic.push(note)
    else this.consume(zombie)
  }

  carryOut(
    record: Unplaced<TaskLedger.Input>,
    offset: Seq,
    output: TaskLedger.Output,
  ): ReadonlyArray<Unplaced<TaskQueue.TaskRecord>> {
    const { clientId } = record
    if (output._tag === "Ignored")
      return output.why === "unknown" && record._tag === "Begin" ? [{ clientId, seq: record.task, _tag: "Ended" }] : []
    const run = "run" in record ? record.run : undefined
    const { attempt, id, name, next, seq } = output.task
    const of = { clientId, seq }
    const see = (part: number, end?: string) => {
      const item = { seq: offset, task: seq, attempt, part, end, run }
      const before = this.seen.get(offset)
      if (before === undefined) this.seen.set(offset, item)
      // A record that is read again has become the same.
      else assert.deepStrictEqual(item, before)
    }
    if (output._tag === "Opened") return [{ ...of, _tag: "Task", id, name }]
    if (output._tag === "Began") return [{ ...of, _tag: "Began", run: output.run, attempt, next }]
    if (output._tag === "Part") {
      see(output.part)
      return this.resumes.has(seq) ? [{ ...of, _tag: "Progress" }] : []
    }
    see(output.part, output.end)
    return [{ ...of, _tag: "Ended" }]
  }

  commit(): void {
    const { ledger, read } = this.consumer
    this.committed += this.dice.below(read - this.committed + 1)
    this.from = TaskLedger.oldest(ledger, this.committed) ?? this.committed
    if (this.committed === read) this.consumer.notes = []
  }

  crash(): void {
    this.zombies.push(this.consumer)
    const ledger = new TaskLedger.State(ledgerLimits)
    for (let at = this.from; at < this.committed; at++)
      TaskLedger.step(ledger, { ...this.events[at]!, offset: seqUnsafe(at) })
    this.consumer = { ledger, read: this.committed, notes: [] }
  }

  assign(): void {
    this.workers.push(new Worker(this, `w${++this.made}`))
  }
}

interface Running {
  readonly task: TaskQueue.QueuedTask
  next: number
}

class Worker {
  readonly world: World
  readonly queue: TaskQueue.State
  readonly running = new Map<RunId, Running>()
  at: number

  constructor(world: World, worker: string) {
    this.world = world
    const { next } = world.workerCommit
    const above = finishedAbove(world.workerCommit, life)
    const slots = new Slots(3, (name) => (name === "ask" ? 3 : 2))
    const limits = { at_once: 3, client_at_once: 2, subject_share: 1, fenced_ticks: 2 }
    const shares = new SubjectShares(1)
    this.queue = new TaskQueue.State({ ...limits, slots, shares, worker, next, above, end: world.topic.length })
    this.at = next
  }

  step(input: TaskQueue.Input): void {
    for (const output of TaskQueue.step(this.queue, input)) {
      const { run, task } = output
      const of = { clientId: task.clientId, task: task.seq, run }
      if (output._tag === "Begin") this.world.publishDoubtfully({ ...of, _tag: "Begin" })
      else if (output._tag === "Start") {
        const isKnown = [...this.running.values()].some((one) => one.task.seq === task.seq)
        assert.isFalse(isKnown, `${task.seq} runs`)
        this.running.set(run, { task, next: output.next })
      } else this.running.delete(run)
    }
    assert.isAtMost(this.running.size, 3)
  }

  readOn(records: number): boolean {
    const next = Math.min(this.at + records, this.world.topic.length)
    if (next === this.at) return false
    const chunk = this.world.topic
      .slice(this.at, next)
      .map((record, i) => Object.assign({}, record, { offset: this.at + i }))
    this.at = next
    this.step({ _tag: "Chunk", records: chunk, next })
    return true
  }

  /** A handler publishes its next part, or its end. */
  work(): boolean {
    const all = [...this.running]
    if (all.length === 0) return false
    const [run, running] = all[this.world.dice.below(all.length)]!
    const { next, task } = running
    if (this.world.dice.below(12) === 0) return this.again(task.seq, run)
    const of = { clientId: task.clientId, task: task.seq, run, part: next }
    this.world.publishDoubtfully(next < parts_each ? { ...of, _tag: "Part" } : { ...of, _tag: "End" })
    if (next < parts_each) running.next++
    else {
      this.running.delete(run)
      this.step({ _tag: "Done", seq: task.seq, run })
      this.step({ _tag: "Freed" })
    }
    return true
  }

  loseBegin(): void {
    for (const { hasBegun, run, seq } of this.queue.tasks.values())
      if (run !== undefined && !hasBegun) return void this.again(seq, run)
  }

  /** A handler fails, and is tried again; or nobody has heard of a run that has not begun. */
  again(seq: Seq, run: RunId): boolean {
    this.running.delete(run)
    this.step({ _tag: "Again", seq, run })
    return true
  }

  commit(): void {
    if (this.world.workers.at(-1) === this) this.world.workerCommit = this.queue.finished.committed(life)
  }
}

const act = (world: World): void => {
  const { dice } = world
  const zombie = world.zombies[dice.below(world.zombies.length + 2)]
  if (zombie !== undefined) return dice.below(60) === 0 ? void world.zombies.shift() : world.haunt(zombie)
  const worker = world.workers[dice.below(world.workers.length)]!
  const what = dice.below(40)
  if (what < 10) world.consume()
  else if (what < 18) worker.readOn(1 + dice.below(4))
  else if (what < 29) worker.work()
  else if (what < 32) worker.step({ _tag: "Tick" })
  else if (what === 39) worker.loseBegin()
  else if (what === 32) world.commit()
  else if (what === 33) worker.commit()
  else if (what === 34 && dice.below(3) === 0) world.crash()
  else if (what === 35 && dice.below(4) === 0) world.assign()
  else if (what === 36 && world.workers.length > 1) world.workers.shift()
  else if (what === 37 && dice.below(4) === 0) {
    const clientId = clients[dice.below(2)]!
    world.publish({ _tag: "StopId", clientId, id: EventId.make(`e${dice.below(6)}`), by: "client" })
  } else if (what === 38) ask(world)
}

const ask = (world: World): void => {
  const { dice } = world
  const resumes = dice.below(2) === 0
  if (resumes) world.resumes.add(seqUnsafe(world.events.length))
  const id = EventId.make(`e${dice.below(6)}`)
  const name = dice.below(2) === 0 ? "ask" : "draw"
  world.publish({ _tag: "Event", clientId: clients[dice.below(2)]!, id, name, resumes, timestamp_ms: 0 })
}

/** Everybody is well, and one worker has the partition. */
const settle = (world: World): void => {
  world.workers = world.workers.slice(-1)
  const worker = world.workers[0]!
  for (let idle = 0, rounds = 0; idle < 10; rounds++) {
    assert.isBelow(rounds, 100_000, "it does not end")
    const isBusy = [world.consume(), worker.readOn(10), worker.work()].some((did) => did)
    worker.step({ _tag: "Tick" })
    idle = isBusy ? 0 : idle + 1
  }
  assert.strictEqual(worker.queue.tasks.size + worker.queue.clients.size + worker.queue.fenced.size, 0)
  assert.strictEqual(worker.queue.options.slots.taken, 0)
  assert.strictEqual(worker.queue.finished.next, world.topic.length)
}

const judge = (world: World): void => {
  const asked = world.events.flatMap(({ _tag }, offset) => (_tag === "Event" ? [seqUnsafe(offset)] : []))
  const seen = [...world.seen.values()].sort((a, b) => a.seq - b.seq)
  for (const task of asked) {
    const items = seen.filter((item) => item.task === task)
    const last = items.at(-1)
    assert.deepStrictEqual(
      items.filter(({ end }) => end !== undefined),
      last === undefined ? [] : [last],
    )
    assert.isDefined(last, `task ${task} has no end`)
    let attempt = 0
    let next = 0
    let run: RunId | undefined = undefined
    for (const item of items) {
      assert.isAtLeast(item.attempt, attempt)
      if (item.attempt !== attempt && !world.resumes.has(task)) next = 0
      const isStopped = item.end === "cancelled"
      if (item.attempt === attempt && !isStopped) assert.strictEqual(item.run, run)
      attempt = item.attempt
      run = item.run
      assert.strictEqual(item.part, item.end === undefined ? next++ : next)
    }
    if (last?.end === "done") assert.strictEqual(next, parts_each)
  }
}

const seed = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))

describe("tasks", () => {
  it.prop(
    "have each part once, in order, and one end, whoever dies and whoever does not know yet that it was replaced",
    { seed },
    ({ seed }) => {
      const world = new World(seed)
      world.assign()
      for (let i = 0; i < 5; i++) ask(world)
      for (let i = 0; i < 600; i++) act(world)
      settle(world)
      judge(world)
    },
    { arbitrary: { runs: 300 } },
  )
})
