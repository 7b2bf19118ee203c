import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { type Asked, AutoAck } from "./AutoAck.ts"
import { type Cursor, Seq, start } from "./Ids.ts"
import { type AutoAckLimits, autoAckLimits } from "../Limits.ts"

const limits: AutoAckLimits = {
  ...autoAckLimits,
  read_ahead_bytes: 20,
  quiet_ms: 100,
  look_ms: 10,
  mark_bytes: 8,
  mark_ms: 15,
}

/** A client's transport and its program, and the network to it: all that a gateway can only guess. */
class Client {
  readonly acks: AutoAck
  /** What was written: the offset at which each result ends. */
  readonly ends: Array<number> = []
  now_ms = 0
  /** What the program has read, and when its transport got the rest. */
  read = 0
  readonly arrived: Array<{ readonly upTo: number; readonly at_ms: number }> = []
  acknowledged: Cursor = start
  private window_bytes: number
  private written = 0
  private through = 0
  private ping: Asked | undefined = undefined

  constructor(window_bytes: number) {
    this.window_bytes = window_bytes
    this.acks = new AutoAck(limits, window_bytes)
  }

  get unread(): number {
    return this.through - this.read
  }

  /** How many results the program has read to their end. */
  get readResults(): number {
    return this.ends.filter((end) => end <= this.read).length
  }

  write(bytes: number): void {
    this.written += bytes
    this.ends.push(this.written)
    this.acks.write(Seq.make(this.ends.length - 1), bytes, this.now_ms)
    this.flow()
  }

  /** By a negative number: the client takes some of it back. */
  widen(bytes: number): void {
    this.window_bytes = Math.max(0, this.window_bytes + bytes)
    this.acks.widened(this.window_bytes)
    this.flow()
  }

  /** The program reads on; what its library reads ahead gives window like what the program reads. */
  reads(bytes: number): void {
    this.read = Math.min(this.through, this.read + bytes)
    this.flow()
  }

  /** The answer to the ping under way comes back, and with it all that was sent before has arrived. */
  answer(): void {
    const { ping } = this
    if (ping === undefined) return
    this.ping = undefined
    this.arrived.push({ upTo: ping.offset, at_ms: this.now_ms })
    this.acknowledged = this.acks.answered(ping, this.now_ms) ?? this.acknowledged
    if (this.acks.isDue) this.ask()
  }

  pass(ms: number): void {
    for (let i = 0; i < ms / limits.look_ms; i++) {
      this.now_ms += limits.look_ms
      if (this.acks.look(this.now_ms)) this.ask()
    }
  }

  private ask(): void {
    this.ping ??= this.acks.ask(this.now_ms)
  }

  private flow(): void {
    const allowed = Math.min(this.written, this.read + limits.read_ahead_bytes + this.window_bytes)
    const through = Math.max(this.through, allowed)
    this.acks.sent(through - this.through)
    this.through = through
    if (this.acks.isDue) this.ask()
  }
}

const Step = Schema.TaggedUnion({
  Write: { bytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })) },
  Read: { bytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })) },
  Widen: { bytes: Schema.Int.check(Schema.isBetween({ minimum: -40, maximum: 40 })) },
  Answer: {},
  Pass: { ms: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })) },
})
const Steps = Arbitrary.array(Arbitrary.schema(Step), { maxLength: 300 })
const Window = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 64 }))

const take = (client: Client, step: typeof Step.Type, mayPass: boolean): void => {
  switch (step._tag) {
    case "Write":
      return client.write(step.bytes)
    case "Read":
      return client.reads(step.bytes)
    case "Widen":
      return client.widen(step.bytes)
    case "Answer":
      return client.answer()
    case "Pass":
      if (mayPass) client.pass(step.ms)
  }
}

const isNeverEarly = (client: Client): void =>
  assert.isAtMost(client.acknowledged, client.readResults - 1, `${client.readResults} were read`)

describe("AutoAck", () => {
  it.effect.prop(
    "acknowledges nothing that a program has not read, however slow it is, while no time passes",
    { window: Window, steps: Steps },
    ({ steps, window }) =>
      Effect.sync(() => {
        const client = new Client(window)
        for (const step of steps) {
          take(client, step, false)
          isNeverEarly(client)
        }
      }),
    { arbitrary: { runs: 500 } },
  )

  it.effect.prop(
    "acknowledges nothing too early where the program is less than quiet_ms behind its transport",
    { window: Window, steps: Steps },
    ({ steps, window }) =>
      Effect.sync(() => {
        const client = new Client(window)
        for (const step of steps) {
          take(client, step, true)
          // A program that keeps up just so: it has read what arrived that long ago, before it is asked for.
          const due = client.arrived.findLast(({ at_ms }) => client.now_ms - at_ms >= limits.quiet_ms - 60)
          if (due !== undefined) client.reads(Math.max(0, due.upTo - client.read))
          isNeverEarly(client)
        }
      }),
    { arbitrary: { runs: 500 } },
  )

  it.effect.prop(
    "acknowledges everything in the end, whatever the window is",
    { window: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 })), steps: Steps },
    ({ steps, window }) =>
      Effect.sync(() => {
        const client = new Client(window)
        for (const step of steps) take(client, step, true)
        // It may have been slow until now: that is forgotten after quiet_ms, and what was taken then is old enough.
        for (let i = 0; i < 100; i++) {
          client.reads(100)
          client.answer()
          client.pass(limits.look_ms)
        }
        assert.strictEqual(client.acknowledged, client.ends.length - 1)
        assert.deepStrictEqual(client.acks.size, { marks: 0, held_bytes: 0 })
      }),
    { arbitrary: { runs: 300 } },
  )

  it.effect.prop(
    "keeps a mark for mark_bytes or mark_ms, and not for each result",
    { count: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 500 })) },
    ({ count }) =>
      Effect.sync(() => {
        const client = new Client(1_000_000)
        for (let i = 0; i < count; i++) client.write(1)
        assert.isAtMost(client.acks.size.marks, Math.ceil(count / limits.mark_bytes) + 1)
      }),
  )

  it("acknowledges a steady trickle no later than quiet_ms, two looks and its round trips after it was written", () => {
    const client = new Client(1_000_000)
    const writtenAt: Array<number> = []
    for (let i = 0; i < 200; i++) {
      client.write(1)
      writtenAt.push(client.now_ms)
      client.reads(1)
      client.pass(limits.look_ms)
      client.answer()
      const oldest = writtenAt[client.acknowledged + 1] ?? client.now_ms
      assert.isAtMost(client.now_ms - oldest, limits.quiet_ms + limits.mark_ms + 4 * limits.look_ms)
    }
    assert.isAbove(client.acknowledged, 150)
  })

  it("does not go by time while what was written waits: the client is slow, and then the window decides", () => {
    const client = new Client(40)
    for (let i = 0; i < 10; i++) client.write(20)
    // 60 bytes are through, none is read; the program takes a byte in a while, for much longer than quiet_ms.
    for (let i = 0; i < 60; i++) {
      client.reads(1)
      client.answer()
      client.pass(limits.look_ms)
      isNeverEarly(client)
    }
  })

  describe("of what is on its way", () => {
    const trickle = () => {
      const acks = new AutoAck(limits, 0)
      acks.write(Seq.make(0), 4, 0)
      acks.sent(4)
      acks.answered(acks.ask(0), 0)
      return acks
    }

    it("goes by when a ping was sent, not by when its answer is back", () => {
      const acks = trickle()
      const early = acks.ask(limits.quiet_ms - 1)
      assert.isUndefined(acks.answered(early, limits.quiet_ms + 50))
      assert.strictEqual(acks.answered(acks.ask(limits.quiet_ms), limits.quiet_ms + 51), 0)
    })

    it("takes for arrived what was sent before the ping as a whole", () => {
      const acks = trickle()
      acks.write(Seq.make(1), 4, limits.mark_ms)
      acks.sent(2)
      acks.answered(acks.ask(20), 20)
      acks.sent(2)
      const late = limits.quiet_ms + 20
      assert.strictEqual(acks.answered(acks.ask(late), late), 0)
    })

    it("acknowledges together what was written within mark_ms, and no more", () => {
      const acks = new AutoAck(limits, 0)
      for (const seq of [0, 1, 2]) acks.write(Seq.make(seq), 1, seq * (limits.mark_ms - 5))
      assert.strictEqual(acks.size.marks, 2)
    })
  })

  it("goes by the largest window that the client has had, which may still be full", () => {
    const acks = new AutoAck(limits, 40)
    for (let seq = 0; seq < 6; seq++) acks.write(Seq.make(seq), 10, seq * limits.mark_ms)
    acks.sent(60)
    acks.widened(0)
    assert.isUndefined(acks.answered(acks.ask(0), 0))
  })

  it("asks again once so much was sent that it may tell more, and not for every write", () => {
    const acks = new AutoAck(limits, 0)
    acks.write(Seq.make(0), 7, 0)
    acks.sent(7)
    assert.isFalse(acks.isDue)
    acks.write(Seq.make(1), 1, 0)
    acks.sent(1)
    assert.isTrue(acks.isDue)
    acks.ask(0)
    assert.isFalse(acks.isDue)
  })
})
