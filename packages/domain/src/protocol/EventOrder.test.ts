import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Dice } from "../testing/Dice.ts"
import { EventOrder, type OrderItem } from "./EventOrder.ts"
import { finishedAbove } from "./FinishedSet.ts"
import { Incarnation } from "./Ids.ts"
import { Slots } from "./Slots.ts"
import { eventOrderLimits, type EventOrderLimits } from "../Limits.ts"

const life = Incarnation.make("a life")

interface Item extends OrderItem {
  bytes: number
}

/** A run: what the topic holds, and which of what may happen happens next, and to whom. */
const seed = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 }))

const often = { arbitrary: { runs: 80 } }

const clients = ["a", "b", "c", "d"]

interface Row {
  readonly key: string
  readonly isHandled: boolean
  readonly slot?: string | undefined
  readonly subject?: string | undefined
}

/** Of so many handlers of a name at once. */
const at_once = 2
const slotsOf = () => new Slots(Infinity, (name) => (name === "one" ? 1 : at_once))

/** The same with names, of which two have a limit. */
const named = (seed: number) => {
  const dice = new Dice(seed)
  const rows = Array.from({ length: dice.below(60) }, (): Row => {
    const isHandled = !dice.oneIn(5)
    return {
      key: dice.pick(clients) ?? "a",
      isHandled,
      slot: isHandled ? dice.pick(["one", "two", undefined]) : undefined,
      subject: dice.pick(["s", "t", undefined]),
    }
  })
  return { topic: topicOf(rows), steps: Array.from({ length: dice.below(300) }, () => dice.below(1_000)) }
}

const drawn = (seed: number) => {
  const dice = new Dice(seed)
  const rows = Array.from({ length: dice.below(80) }, (): Row => ({
    key: dice.oneIn(2) ? "a" : dice.oneOf(clients),
    isHandled: !dice.oneIn(4),
  }))
  const steps = Array.from({ length: dice.below(400) }, () => dice.below(1_000))
  return { topic: topicOf(rows), steps, more: steps.toReversed() }
}

const tight: EventOrderLimits = {
  handlers_at_once: 2,
  subject_share: 1,
  partition_records: 9,
  partition_bytes: 2_000,
  client_records: 2,
  client_bytes: 500,
  span_records: 40,
}

const topicOf = (all: ReadonlyArray<Row>): ReadonlyArray<Item> => {
  const items: Array<Item> = []
  let offset = 0
  for (const { isHandled, key, slot, subject } of all) {
    if (offset % 10 === 7) offset++
    items.push({ offset: offset++, key, isHandled, bytes: 100, slot, subject })
  }
  return items
}

/** An owner of the partition: the shell of an order, step by step, which looks at the invariants after each. */
class Owner {
  readonly order: EventOrder<Item>
  readonly topic: ReadonlyArray<Item>
  readonly limits: EventOrderLimits
  readonly slots: Slots
  readonly running: Array<Item> = []
  readonly handled: Array<number> = []
  batch: ReadonlyArray<Item> | undefined = undefined
  /** What the log has acknowledged, in its order. */
  readonly written: Array<Item> = []
  at: number
  /** Whose handlers never end. */
  isStuck: (item: Item) => boolean = () => false

  constructor(
    topic: ReadonlyArray<Item>,
    limits: EventOrderLimits,
    committed = { next: 0, metadata: "" },
    slots = slotsOf(),
  ) {
    this.topic = topic
    this.limits = limits
    this.slots = slots
    this.order = new EventOrder(limits, committed.next, finishedAbove(committed, life), slots)
    this.at = committed.next
    slots.join({ waitsSince: (name) => this.order.waitsSince(name), pump: () => this.pump() })
  }

  get end(): number {
    return (this.topic.at(-1)?.offset ?? -1) + 1
  }

  read(count: number): boolean {
    if (!this.order.wantsMore || this.at >= this.end) return false
    const next = Math.min(this.at + count, this.end)
    const records = this.topic.filter(({ offset }) => offset >= this.at && offset < next)
    this.order.read({ next, records })
    this.at = next
    for (const item of records) {
      if (this.order.finished.has(item.offset)) continue
      const copy = { ...item }
      if (this.order.add(copy)) this.start(copy)
      this.pump()
    }
    return true
  }

  finish(which: number): boolean {
    const may = this.running.filter((item) => !this.isStuck(item))
    const item = may[which % Math.max(1, may.length)]
    if (item === undefined) return false
    this.running.splice(this.running.indexOf(item), 1)
    this.order.ended(item, 150)
    if (item.slot !== undefined) this.slots.tell(item.slot)
    this.pump()
    return true
  }

  take(count: number): boolean {
    if (this.batch !== undefined) assert.isUndefined(this.order.takeBatch(count, Infinity))
    const batch = this.order.takeBatch(count, Infinity)
    if (batch === undefined) return false
    this.batch = batch
    return true
  }

  acknowledge(): boolean {
    if (this.batch === undefined) return false
    this.written.push(...this.batch)
    this.batch = undefined
    this.order.acknowledged()
    return true
  }

  refill(): boolean {
    const missing = this.order.missing
    if (missing === undefined) return false
    for (const item of this.topic) {
      if (item.offset < missing || !this.order.isMissing(item.key, item.offset)) continue
      this.order.refill({ ...item })
      this.pump()
    }
    return true
  }

  step(dice: number): boolean {
    const [what, which] = [dice % 5, Math.floor(dice / 5)]
    const did = [
      () => this.read(1 + (which % 12)),
      () => this.finish(which),
      () => this.take(1 + (which % 4)),
      () => this.acknowledge(),
      () => this.refill(),
    ][what]!()
    this.check()
    return did
  }

  /** Everything that can happen. */
  settle(): void {
    let did = true
    while (did) {
      did = [this.read(5), this.finish(0), this.take(3), this.acknowledge(), this.refill()].some(Boolean)
      this.check()
    }
  }

  private start(item: Item): void {
    this.handled.push(item.offset)
    this.running.push(item)
  }

  private pump(): void {
    for (let item = this.order.next(); item !== undefined; item = this.order.next()) {
      this.start(item)
    }
  }

  private check(): void {
    const { limits, order, running } = this
    const { records, span } = order.size
    assert.isAtMost(running.length, limits.handlers_at_once)
    assert.strictEqual(order.size.running, running.length)
    assert.strictEqual(new Set(running.map(({ key }) => key)).size, running.length, "one at a time of each client")
    assert.isAtMost(records, limits.partition_records + 12 + 4, "one chunk more, and one of each client")
    assert.isAtMost(span, limits.span_records + 12)
  }
}

const byClient = (items: ReadonlyArray<Item>, key: string) =>
  items.filter((item) => item.key === key).map(({ offset }) => offset)

describe("EventOrder", () => {
  it.prop(
    "writes each record once, those of one client in their order, whatever ends first and within tight bounds",
    [seed],
    ([seed]) => {
      const { steps, topic } = drawn(seed)
      const owner = new Owner(topic, tight)
      for (const dice of steps) owner.step(dice)
      owner.settle()
      for (const key of clients) assert.deepStrictEqual(byClient(owner.written, key), byClient(topic, key))
      assert.deepStrictEqual(
        owner.handled.toSorted((a, b) => a - b),
        topic.filter(({ isHandled }) => isHandled).map(({ offset }) => offset),
      )
      assert.deepStrictEqual(owner.order.finished.committed(life), { next: owner.end, metadata: "" })
      assert.deepStrictEqual(owner.order.size, {
        span: 0,
        records: 0,
        bytes: 0,
        spilled: 0,
        running: 0,
        ready: 0,
        slotless: 0,
        crowded: 0,
        early: 0,
      })
      assert.isTrue(owner.order.isIdle)
    },
    often,
  )

  it.prop(
    "the commit is the lowest offset that is not written, and says what is written above it: an owner that starts there handles nothing that was",
    [seed],
    ([seed]) => {
      const { more, steps, topic } = drawn(seed)
      const before = new Owner(topic, tight)
      for (const dice of steps) before.step(dice)
      const written = new Set(before.written.map(({ offset }) => offset))
      const committed = before.order.finished.committed(life)
      const lowest = topic.find(({ offset }) => offset < before.at && !written.has(offset))
      assert.strictEqual(committed.next, lowest?.offset ?? before.order.finished.end)
      const after = new Owner(topic, tight, committed)
      for (const dice of more) after.step(dice)
      after.settle()
      assert.deepStrictEqual(
        after.written.map(({ offset }) => offset).toSorted((a, b) => a - b),
        topic.filter(({ offset }) => !written.has(offset)).map(({ offset }) => offset),
      )
      for (const key of clients) {
        assert.deepStrictEqual(byClient([...before.written, ...after.written], key), byClient(topic, key))
      }
    },
    often,
  )

  it.prop(
    "one client whose handler never ends holds up nobody else",
    [seed],
    ([seed]) => {
      const { steps, topic } = drawn(seed)
      const owner = new Owner(topic, { ...tight, span_records: 1_000 })
      const isStuck = ({ key }: Item) => key === "a"
      owner.isStuck = isStuck
      for (const dice of steps) owner.step(dice)
      owner.settle()
      for (const key of ["b", "c", "d"]) assert.deepStrictEqual(byClient(owner.written, key), byClient(topic, key))
      const first = topic.find(({ isHandled, key }) => key === "a" && isHandled)
      assert.deepStrictEqual(
        byClient(owner.written, "a"),
        byClient(topic, "a").filter((offset) => first === undefined || offset < first.offset),
      )
      if (first !== undefined) {
        assert.strictEqual(owner.order.finished.next, first.offset)
        assert.strictEqual(owner.order.oldest?.offset, first.offset)
      }
    },
    often,
  )

  it.prop(
    "of a name with a limit no more run than it has slots, over the partitions that share them, and all of it is written in its order",
    [seed, seed],
    ([seed, other]) => {
      const slots = slotsOf()
      const runs = [named(seed), named(other)].map(({ steps, topic }) => ({
        owner: new Owner(topic, tight, undefined, slots),
        steps,
        topic,
      }))
      const check = () => {
        const running = runs.flatMap(({ owner }) => owner.running.flatMap(({ slot }) => slot ?? []))
        for (const name of ["one", "two"]) {
          const of = running.filter((slot) => slot === name).length
          assert.isAtMost(of, name === "one" ? 1 : at_once)
          assert.strictEqual(slots.takenBy(name), of)
        }
      }
      for (let i = 0; i < 300; i++) {
        for (const { owner, steps } of runs) {
          const dice = steps[i]
          if (dice !== undefined) owner.step(dice)
          check()
        }
      }
      let did = true
      while (did) {
        did = runs
          .map(
            ({ owner }) => owner.read(5) || owner.finish(0) || owner.take(3) || owner.acknowledge() || owner.refill(),
          )
          .some(Boolean)
        check()
      }
      for (const { owner, topic } of runs) {
        for (const key of clients) assert.deepStrictEqual(byClient(owner.written, key), byClient(topic, key))
        assert.strictEqual(owner.order.finished.next, owner.end)
      }
      assert.strictEqual(slots.taken, 0)
    },
    often,
  )

  it.prop(
    "a name whose handlers never end holds up the clients alone that have sent it",
    [seed],
    ([seed]) => {
      const { steps, topic } = named(seed)
      const wide = { ...tight, span_records: 1_000, partition_records: 1_000, handlers_at_once: 3, subject_share: 9 }
      const owner = new Owner(topic, wide)
      owner.isStuck = ({ slot }) => slot === "two"
      for (const dice of steps) owner.step(dice)
      owner.settle()
      for (const key of clients) {
        const first = topic.find((item) => item.key === key && item.slot === "two")
        assert.deepStrictEqual(
          byClient(owner.written, key),
          byClient(topic, key).filter((offset) => first === undefined || offset < first.offset),
        )
      }
    },
    often,
  )

  it("a free slot goes to the client that has waited longest, in whichever partition; other names do not wait for it", () => {
    const slots = slotsOf()
    const row = (key: string, slot?: string): Row => ({ key, isHandled: true, slot })
    const p = new Owner(topicOf([row("a", "one"), row("b", "one"), row("c"), row("d", "one")]), tight, undefined, slots)
    const q = new Owner(topicOf([row("e", "one"), row("f")]), { ...tight, handlers_at_once: 9 }, undefined, slots)
    p.read(2)
    q.read(2)
    p.read(9)
    assert.deepStrictEqual([p.handled, q.handled], [[0, 2], [1]])
    assert.deepStrictEqual([p.order.size.slotless, q.order.size.slotless], [1, 1])
    p.finish(0)
    assert.deepStrictEqual([p.handled, q.handled], [[0, 2, 1], [1]])
    p.finish(1)
    assert.deepStrictEqual(
      [p.handled, q.handled],
      [
        [0, 2, 1],
        [1, 0],
      ],
    )
    assert.strictEqual(p.order.size.running, 1)
    q.finish(1)
    assert.deepStrictEqual(p.handled, [0, 2, 1, 3])
  })

  it("a subject that floods with as many clients as it likes leaves handlers free for others, in their turn", () => {
    const limits = { ...tight, handlers_at_once: 8, subject_share: 3, partition_records: 100 }
    const flood = Array.from({ length: 20 }, (_, i): Row => ({ key: `m${i}`, isHandled: true, subject: "mallory" }))
    const others = ["a", "b", "c"].map((key): Row => ({ key, isHandled: true, subject: key === "c" ? undefined : key }))
    const owner = new Owner(topicOf([...flood, ...others]), limits)
    owner.read(100)
    const rows = owner.topic.filter(({ key }) => !key.startsWith("m")).map(({ offset }) => offset)
    assert.strictEqual(owner.running.filter(({ subject }) => subject === "mallory").length, 6)
    assert.deepStrictEqual(owner.handled.slice(6), rows.slice(0, 2))
    owner.finish(0)
    // It waited longer than the flood's next, which has its share.
    assert.deepStrictEqual(owner.handled.slice(6), rows)
    const waiting = owner.order.size.crowded
    assert.strictEqual(waiting, 14)
    owner.settle()
    assert.strictEqual(owner.order.size.crowded, 0)
    assert.strictEqual(owner.handled.length, 23)
    assert.deepStrictEqual(
      owner.handled.filter((offset) => !rows.includes(offset)),
      owner.topic.filter(({ key }) => key.startsWith("m")).map(({ offset }) => offset),
    )
  })

  it("what has neither a slot of its name nor its subject's share starts when it has both", () => {
    const row = (key: string, subject: string, slot?: string): Row => ({ key, isHandled: true, slot, subject })
    const rows = [row("a", "s", "one"), row("b", "s", "one"), row("c", "s"), row("d", "s"), row("e", "t", "one")]
    const owner = new Owner(topicOf(rows), { ...tight, handlers_at_once: 4, subject_share: 1 })
    owner.read(9)
    assert.deepStrictEqual(owner.handled, [0, 2])
    assert.deepInclude(owner.order.size, { slotless: 2, crowded: 1 })
    owner.finish(0)
    assert.deepStrictEqual(owner.handled, [0, 2, 1])
    owner.finish(1)
    assert.deepStrictEqual(owner.handled, [0, 2, 1, 3, 4])
    owner.settle()
    assert.deepStrictEqual(owner.order.size.running, 0)
  })

  it("what waits for a slot takes no place of a handler", () => {
    const rows = ["a", "b", "c"].map((key): Row => ({ key, isHandled: true, slot: "one" }))
    const owner = new Owner(topicOf([...rows, { key: "d", isHandled: true }]), tight)
    owner.read(9)
    assert.deepStrictEqual(owner.handled, [0, 3])
  })

  it("given up, it leaves the slots of what runs to others", () => {
    const slots = slotsOf()
    const row = (key: string): Row => ({ key, isHandled: true, slot: "one" })
    const owner = new Owner(topicOf([row("a"), row("b")]), tight, undefined, slots)
    owner.read(9)
    assert.isFalse(slots.has("one"))
    owner.order.abandon()
    assert.isTrue(slots.has("one"))
    assert.isUndefined(owner.order.next())
  })

  it("what is not to start yet waits for its time, holds up its own client alone, and is left to the next owner at the end", () => {
    const order = new EventOrder<Item>({ ...tight, handlers_at_once: 1 }, 0)
    const early: Item = { offset: 0, key: "a", isHandled: true, bytes: 10, notBefore_ms: 1_000 }
    const [behind, other] = [1, 2].map((offset) => ({
      offset,
      key: offset === 1 ? "a" : "b",
      isHandled: true,
      bytes: 10,
    }))
    order.read({ next: 3, records: [early, behind!, other!] })
    order.due(500)
    assert.deepStrictEqual([order.add(early), order.add(behind!), order.add(other!)], [false, false, true])
    order.due(999)
    order.ended(other!, 10)
    assert.isUndefined(order.next())
    assert.strictEqual(order.size.early, 1)
    assert.strictEqual(order.oldest, early)
    order.takeBatch(9, Infinity)
    order.acknowledged()
    assert.isTrue(order.isIdle, "nothing is waited for")
    order.due(1_000)
    assert.strictEqual(order.next(), early)
    order.ended(early, 10)
    assert.strictEqual(order.next(), behind)
  })

  it("keeps no more of one client than its bound, and reads the rest again in its turn", () => {
    const topic = topicOf(Array.from({ length: 30 }, () => ({ key: "a" as const, isHandled: true })))
    const owner = new Owner(topic, { ...tight, partition_records: 1_000 })
    while (owner.read(10));
    const { records, running, spilled } = owner.order.size
    assert.deepStrictEqual({ records, running, spilled }, { records: 3, running: 1, spilled: 27 })
    assert.isUndefined(owner.order.missing, "there is no room for more")
    owner.finish(0)
    assert.strictEqual(owner.order.missing, topic[3]?.offset)
    owner.settle()
    assert.deepStrictEqual(byClient(owner.written, "a"), byClient(topic, "a"))
  })

  it("counts bytes of one client too, and lets one record through that is larger", () => {
    const order = new EventOrder<Item>(tight, 0)
    const item = (offset: number, bytes: number) => ({ offset, key: "a", isHandled: true, bytes })
    order.read({ next: 4, records: [0, 1, 2, 3].map((offset) => item(offset, 0)) })
    assert.isTrue(order.add(item(0, 100)))
    for (const [offset, bytes] of [
      [1, 9_000],
      [2, 100],
      [3, 100],
    ] as const) {
      assert.isFalse(order.add(item(offset, bytes)))
    }
    assert.strictEqual(order.size.spilled, 2)
    assert.isFalse(order.wantsMore)
  })

  it("takes what retention has removed for finished", () => {
    const topic = topicOf(Array.from({ length: 12 }, () => ({ key: "a" as const, isHandled: true })))
    const owner = new Owner(topic, { ...tight, partition_records: 1_000 })
    while (owner.read(20));
    assert.strictEqual(owner.order.gone(6), 3)
    owner.settle()
    assert.deepStrictEqual(
      byClient(owner.written, "a"),
      byClient(topic, "a").filter((offset) => offset < 3 || offset >= 6),
    )
    assert.strictEqual(owner.order.finished.next, owner.end)
  })

  it("a record of nobody's holds back the commit alone", () => {
    const order = new EventOrder<Item>(tight, 0)
    const b = { offset: 1, key: "b", isHandled: false, bytes: 10 }
    order.read({ next: 2, records: [{ ...b, offset: 0 }, b] })
    order.aside(50)
    order.add(b)
    assert.deepStrictEqual(order.takeBatch(10, 10), [b])
    order.acknowledged()
    assert.strictEqual(order.finished.next, 0)
    order.quarantined(0, 50)
    assert.strictEqual(order.finished.next, 2)
  })

  it("stopped, it starts nothing, and lets what runs and what is ready leave", () => {
    const topic = topicOf([
      { key: "a", isHandled: true },
      { key: "a", isHandled: true },
      { key: "b", isHandled: true },
      { key: "c", isHandled: true },
    ])
    const owner = new Owner(topic, tight)
    owner.read(10)
    assert.strictEqual(owner.running.length, 2)
    owner.order.stop()
    owner.settle()
    assert.isTrue(owner.order.isIdle)
    assert.deepStrictEqual(owner.handled, [0, 2])
    assert.deepStrictEqual(
      owner.written.map(({ offset }) => offset),
      [0, 2],
    )
  })

  it("a client whose event waits for a free handler has it before one that comes later", () => {
    const order = new EventOrder<Item>({ ...tight, handlers_at_once: 1 }, 0)
    const [a, b, c] = ["a", "b", "c"].map((key, offset) => ({ offset, key, isHandled: true, bytes: 10 }))
    order.read({ next: 3, records: [a!, b!, c!] })
    assert.deepStrictEqual([order.add(a!), order.add(b!)], [true, false])
    order.ended(a!, 10)
    assert.isFalse(order.add(c!))
    assert.strictEqual(order.next(), b)
    assert.isUndefined(order.next())
    order.ended(b!, 10)
    assert.strictEqual(order.next(), c)
  })

  it("reads nothing again while the partition has all that it may have, but for a client that has nothing to do", () => {
    const order = new EventOrder<Item>({ ...tight, partition_records: 4 }, 0)
    const item = (offset: number, key: string) => ({ offset, key, isHandled: true, bytes: 10 })
    const all = [item(0, "a"), item(1, "a"), item(2, "a"), item(3, "a"), item(4, "b")]
    order.read({ next: 5, records: all })
    for (const one of all) order.add(one)
    assert.strictEqual(order.size.records, 4)
    order.ended(all[0]!, 10)
    assert.strictEqual(order.next(), all[1])
    assert.isUndefined(order.missing, "the first is ready, and still counts")
    order.takeBatch(10, Infinity)
    order.acknowledged()
    assert.strictEqual(order.missing, 3)
  })

  it("reads one again of each client alone while the log takes nothing", () => {
    const order = new EventOrder<Item>({ ...tight, handlers_at_once: 9, partition_records: 5 }, 0)
    const item = (offset: number, key: string) => ({ offset, key, isHandled: true, bytes: 10 })
    const all = [item(0, "a"), item(1, "a"), item(2, "a"), item(3, "a"), item(4, "a"), item(5, "b"), item(6, "c")]
    order.read({ next: 7, records: all })
    for (const one of all) order.add(one)
    for (let one: Item | undefined = all[0]; one?.key === "a"; one = order.next()) order.ended(one, 10)
    assert.deepStrictEqual(order.takeBatch(10, Infinity), all.slice(0, 3))
    assert.strictEqual(order.size.records, 5)
    assert.isUndefined(order.missing, "what has ended is in memory still")
    order.acknowledged()
    order.read({ next: 10, records: [item(7, "d"), item(8, "e"), item(9, "f")] })
    for (const one of [item(7, "d"), item(8, "e"), item(9, "f")]) order.add(one)
    assert.isFalse(order.wantsMore)
    assert.strictEqual(order.missing, 3, "nothing of it is in memory, so it has its turn")
    order.refill(all[3]!)
    assert.isUndefined(order.missing)
  })

  it("has many clients of much traffic at once, in linear time", () => {
    const order = new EventOrder<Item>(eventOrderLimits, 0)
    const count = 60_000
    const all = Array.from({ length: count }, (_, offset) => ({
      offset,
      key: `c${offset % 500}`,
      isHandled: true,
      bytes: 10,
    }))
    order.read({ next: count, records: all })
    const running: Array<Item> = all.filter((item) => order.add(item))
    let written = 0
    while (running.length > 0 || !order.isIdle) {
      for (const item of running.splice(0)) order.ended(item, 10)
      for (let item = order.next(); item !== undefined; item = order.next()) running.push(item)
      written += order.takeBatch(4_096, Infinity)?.length ?? 0
      order.acknowledged()
    }
    assert.strictEqual(written, count)
    assert.strictEqual(order.finished.next, count)
  })
})
