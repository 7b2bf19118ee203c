import { Duplex } from "node:stream"
import { setImmediate as turn } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import { Reading } from "./FairReading.ts"
import type { Timers } from "./Timers.ts"
import { gatewayLimits } from "../Limits.ts"

const limits = { ...gatewayLimits, frames_per_turn: 40, read_slice_bytes: 20, frames_turn_ms: 1_000 }

/** A stream whose bytes the test brings, as the kernel would. Each byte of it is a frame. */
class Wire extends Duplex {
  /** How often it asked for more. */
  asked = 0
  readonly given: Array<string> = []
  isBusy = false

  constructor(reading: Reading, head?: Buffer) {
    super()
    reading.share(this, { busy: () => void (this.isBusy = true), ...(head !== undefined && { head }) })
    this.on("data", (bytes: Buffer) => {
      this.given.push(bytes.toString())
      for (let i = 0; i < bytes.length; i++) reading.count()
    })
  }

  get text(): string {
    return this.given.join("")
  }

  override _read(): void {
    this.asked++
  }

  override _write(_: unknown, __: unknown, done: () => void): void {
    done()
  }
}

/** The time of the machine: what is read here is read in real turns of the event loop. */
const timers: Timers["Service"] = {
  after: (ms, act) => {
    const timer = setTimeout(act, ms)
    return { cancel: () => clearTimeout(timer), refresh: () => void timer.refresh() }
  },
}

const make = (some: Partial<typeof limits> = {}, now = () => 0) =>
  new Reading({ ...limits, ...some }, now, () => performance.now(), timers)
/** Flowing, as a transport's library makes it. */
const wires = async (reading: Reading, count: number) => {
  const all = Array.from({ length: count }, () => new Wire(reading))
  await turn()
  return all
}

/** Done once it is so; every look is a turn of the event loop. */
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await turn()
}

describe("FairReading", () => {
  it("hands on at once what comes while nobody waits", async () => {
    const [wire] = await wires(make(), 1)
    assert.isTrue(wire!.push(Buffer.from("abc")))
    assert.strictEqual(wire!.text, "abc")
  })

  it("reads no more in one go than a turn's frames and one slice, and the rest in order", async () => {
    const reading = make()
    const [wire] = await wires(reading, 1)
    const bytes = Array.from({ length: 500 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("")
    assert.isFalse(wire!.push(Buffer.from(bytes)), "the kernel is to bring no more")
    assert.isAtMost(wire!.text.length, 60)
    await until(() => reading.waiting === 0)
    assert.strictEqual(wire!.text, bytes)
  })

  it("waits no longer for others than it may, however few of their turns that is", async () => {
    const reading = make({ frames_pause_turns: 1_000_000_000, frames_pause_ms: 1 })
    const [wire] = await wires(reading, 1)
    wire!.push(Buffer.alloc(500, "x"))
    await until(() => wire!.text.length === 500)
  })

  it("shares a turn among those that send as fast as they can, and has whoever sends little not wait for them", async () => {
    const reading = make()
    const [first, second, modest] = await wires(reading, 3)
    for (const wire of [first!, second!]) wire.push(Buffer.alloc(10_000, "x"))
    await until(() => first!.text.length > 200)
    const before = first!.text.length + second!.text.length
    modest!.push(Buffer.from("m"))
    await until(() => modest!.text === "m")
    assert.isAtMost(first!.text.length + second!.text.length - before, 60)
    assert.isAtMost(Math.abs(first!.text.length - second!.text.length), 20)
  })

  it("asks the kernel for more of a stream only once that is given what it has brought", async () => {
    const reading = make()
    const [wire] = await wires(reading, 1)
    const { asked } = wire!
    wire!.push(Buffer.alloc(1_000, "x"))
    wire!.read(0)
    await turn()
    assert.strictEqual(wire!.asked, asked)
    await until(() => reading.waiting === 0 && wire!.asked > asked)
  })

  it("gives a stream that is paused nothing, and goes on as it is resumed", async () => {
    const reading = make()
    const [wire, other] = await wires(reading, 2)
    wire!.once("data", () => wire!.pause())
    wire!.push(Buffer.alloc(300, "x"))
    assert.strictEqual(wire!.text.length, 20)
    other!.push(Buffer.alloc(300, "o"))
    await until(() => other!.text.length === 300)
    assert.strictEqual(wire!.text.length, 20)
    wire!.resume()
    await until(() => wire!.text.length === 300)
  })

  it("gives a stream that is held nothing, whatever its reader does, and goes on as it is let go", async () => {
    const reading = make()
    const [wire, other] = await wires(reading, 2)
    wire!.once("data", () => reading.hold(wire!))
    wire!.push(Buffer.alloc(300, "x"))
    wire!.pause()
    wire!.resume()
    other!.push(Buffer.alloc(300, "o"))
    await until(() => other!.text.length === 300)
    assert.strictEqual(wire!.text.length, 20)
    reading.letGo(wire!)
    await until(() => wire!.text.length === 300)
  })

  it("goes on with a stream that is taken over by another reader, first with what the last had read too much of", async () => {
    const reading = make({ unfinished_bytes: 50 })
    const wire = new Wire(reading)
    await turn()
    wire.push(Buffer.alloc(300, "x"))
    wire.pause()
    const rest = wire.given.pop()
    let isBusy = false
    reading.share(wire, { head: Buffer.from(rest ?? ""), busy: () => (isBusy = true) })
    wire.removeAllListeners("data").on("data", (bytes: Buffer) => void wire.given.push(bytes.toString()))
    wire.resume()
    await until(() => wire.text.length === 300)
    assert.deepStrictEqual([wire.isBusy, isBusy], [false, true])
  })

  it("gives the end after the last bytes, and first of all what was read before", async () => {
    const reading = make()
    const wire = new Wire(reading, Buffer.from("head,"))
    let hasEnded = false
    wire.on("end", () => (hasEnded = true))
    wire.push(Buffer.alloc(200, "x"))
    wire.push(null)
    assert.isFalse(hasEnded)
    await until(() => hasEnded)
    assert.strictEqual(wire.text, `head,${"x".repeat(200)}`)
  })

  it("forgets what a stream had brought that is gone", async () => {
    const reading = make()
    const [wire, other] = await wires(reading, 2)
    wire!.push(Buffer.alloc(10_000, "x"))
    wire!.destroy()
    other!.push(Buffer.alloc(300, "o"))
    await until(() => other!.text.length === 300 && reading.waiting === 0)
    assert.isAtMost(wire!.text.length, 60)
  })

  it("reads of all together no more in a second than the gateway may", async () => {
    let now_ms = 0
    const reading = make({ gateway_frames_per_second: 100 }, () => now_ms)
    const all = await wires(reading, 4)
    const read = () => all.reduce((sum, { text }) => sum + text.length, 0)
    for (const wire of all) wire.push(Buffer.alloc(1_000, "x"))
    await until(() => read() >= 100)
    for (let i = 0; i < 50; i++) await turn()
    assert.isAtMost(read(), 120)
    now_ms = 1_000
    await until(() => read() >= 200)
    assert.isAtMost(read(), 240)
    for (const wire of all) wire.destroy()
    now_ms = 100_000
    await until(() => reading.waiting === 0)
  })

  describe("of messages that are not whole", () => {
    /** A message ends with its first `.`; a `p` may stand amid its parts. */
    class Parts extends Wire {
      constructor(reading: Reading) {
        super(reading)
        this.removeAllListeners("data")
        this.on("data", (bytes: Buffer) => {
          const text = bytes.toString()
          for (const _ of text.matchAll(/p/g)) reading.countControl(1)
          for (const _ of text.matchAll(/\./g)) reading.count()
        })
      }
    }

    const given = async (...bytes: ReadonlyArray<string>) => {
      const reading = make({
        unfinished_bytes: 1_000,
        piece_cost_bytes: 0,
        read_slice_bytes: 100_000,
        frames_per_turn: 1_000_000,
      })
      const all = bytes.map(() => new Parts(reading))
      await turn()
      for (const [i, wire] of all.entries()) wire.push(Buffer.from(bytes[i]!))
      await until(() => reading.waiting === 0)
      return { all, busy: () => all.map(({ isBusy }) => isBusy) }
    }

    it("tells whoever has brought the most, where it is too much together", async () => {
      const { all, busy } = await given("x".repeat(300), "x".repeat(600), "x".repeat(100))
      assert.deepStrictEqual(busy(), [false, false, false])
      all[2]!.push(Buffer.from("x"))
      assert.deepStrictEqual(busy(), [false, true, false])
    })

    it("counts each piece for what it takes up beside its bytes, as long as it is part of one", async () => {
      const reading = make({ unfinished_bytes: 1_000, piece_cost_bytes: 100, frames_per_turn: 1_000_000 })
      const wire = new Parts(reading)
      await turn()
      const says = async (text: string, times: number) => {
        for (let i = 0; i < times; i++) {
          wire.push(Buffer.from(text))
          await until(() => reading.waiting === 0)
        }
      }
      await says("x", 9)
      await says(".", 1)
      await says("p", 50)
      await says("x", 9)
      assert.isFalse(wire.isBusy)
      await says("x", 1)
      assert.isTrue(wire.isBusy)
    })

    it("counts those no more that have become messages, or whose stream is gone", async () => {
      const { all, busy } = await given("x".repeat(600), "x".repeat(300), "")
      all[0]!.push(Buffer.from("."))
      all[1]!.destroy()
      await turn()
      all[2]!.push(Buffer.alloc(1_000, "x"))
      assert.deepStrictEqual(busy(), [false, false, false])
    })

    it("is not misled by what may stand amid the parts of one, nor counts that", async () => {
      const { all, busy } = await given("p".repeat(5_000), "x".repeat(900))
      assert.deepStrictEqual(busy(), [false, false])
      all[1]!.push(Buffer.from(`${"p".repeat(500)}${"x".repeat(101)}`))
      assert.deepStrictEqual(busy(), [false, true])
    })
  })
})
