import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { FairQueue, Flow } from "./FairQueue.ts"

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

class Sender extends Flow {
  served = 0
}

const most = 20

/** Serves the next, as it costs, and lets it wait again. Answers whom. */
const serve = (queue: FairQueue<Sender>, cost: number): Sender => {
  const sender = queue.take()
  if (sender === undefined) throw new Error("nobody is next, though somebody waits")
  sender.served += cost
  queue.charge(sender, cost)
  return sender
}

describe("FairQueue", () => {
  it.effect.prop(
    "serves those who always wait equally, up to the cost of one serving each",
    { senders: between(1, 12), costs: Arbitrary.array(between(1, most)) },
    ({ costs, senders }) =>
      Effect.sync(() => {
        const queue = new FairQueue<Sender>()
        const all = Array.from({ length: senders }, () => new Sender())
        for (const sender of all) queue.add(sender)
        for (const cost of costs) queue.add(serve(queue, cost))
        const served = all.map((sender) => sender.served)
        assert.isAtMost(Math.max(...served) - Math.min(...served), most)
      }),
  )

  it.effect.prop(
    "has whoever asks for less than its share wait for one serving of each of the others at most",
    { greedy: between(1, 12), costs: Arbitrary.array(between(1, most)), every: between(1, 30) },
    ({ costs, every, greedy }) =>
      Effect.sync(() => {
        const queue = new FairQueue<Sender>()
        const modest = new Sender()
        for (let i = 0; i < greedy; i++) queue.add(new Sender())
        let waits = -1
        costs.forEach((cost, i) => {
          // Its share of so many servings is more than one.
          if (waits === -1 && i % (every + (greedy + 1) * most) === 0) {
            queue.add(modest)
            waits = 0
          }
          const sender = serve(queue, waits === 0 && queue.size === 0 ? 1 : cost)
          if (sender === modest) waits = -1
          else {
            if (waits !== -1) waits++
            queue.add(sender)
          }
          assert.isAtMost(waits, greedy)
        })
      }),
    { arbitrary: { runs: 200 } },
  )

  it("serves at once whoever comes anew, however much was served before", () => {
    const queue = new FairQueue<Sender>()
    const greedy = [new Sender(), new Sender(), new Sender()]
    for (const sender of greedy) queue.add(sender)
    for (let i = 0; i < 1_000; i++) queue.add(serve(queue, 7))
    const modest = new Sender()
    queue.add(modest)
    const before = [serve(queue, 7), serve(queue, 7), serve(queue, 7), serve(queue, 7)]
    assert.include(before, modest)
  })

  it("serves whoever asks for little before a storm of newcomers", () => {
    const queue = new FairQueue<Sender>()
    const modest = new Sender()
    queue.begin(modest)
    queue.charge(modest, 1)
    for (let i = 0; i < 100; i++) {
      const newcomer = new Sender()
      queue.enter(newcomer, most)
      queue.add(newcomer)
    }
    queue.add(modest)
    assert.strictEqual(queue.take(), modest)
  })

  it("saves nothing up for whoever asked for nothing", () => {
    const queue = new FairQueue<Sender>()
    const [steady, late] = [new Sender(), new Sender()]
    queue.add(steady)
    queue.add(late)
    serve(queue, 1)
    queue.add(steady)
    for (let i = 0; i < 100; i++) {
      const sender = serve(queue, 1)
      if (sender === steady) queue.add(steady)
    }
    late.served = 0
    steady.served = 0
    queue.add(late)
    for (let i = 0; i < 20; i++) queue.add(serve(queue, 1))
    assert.isAtMost(Math.abs(late.served - steady.served), 2)
  })

  it("gives all that there is to the only one that asks, and remembers no debt of it", () => {
    const queue = new FairQueue<Sender>()
    const only = new Sender()
    for (let i = 0; i < 100; i++) {
      queue.begin(only)
      queue.charge(only, 10)
    }
    const other = new Sender()
    queue.add(only)
    queue.add(other)
    assert.strictEqual(serve(queue, 10), other)
    queue.add(other)
    assert.strictEqual(serve(queue, 10), only)
  })
})
