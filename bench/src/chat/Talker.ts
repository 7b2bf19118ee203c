/** People who talk in rooms over Socket.IO's own clients, and what each must have heard in the end. */
import { assert } from "@effect/vitest"
import type { Socket } from "socket.io-client"
import { until as isTrueWithin } from "../../../scripts/services/Tools.ts"

export const messages_per_client = 20

/** It only ends what would never come, on a machine that may be busy. */
export const patience_ms = 60_000

export const until = async (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
  assert.isTrue(await isTrueWithin(condition, patience_ms), what)

export interface Said {
  readonly from: string
  readonly n: number
}

const isSaid = (u: unknown): u is Said => typeof u === "object" && u !== null && "from" in u && "n" in u

/** Says its numbers one after the other, and writes down what it hears. */
export class Talker {
  readonly name: string
  readonly room: string
  readonly heard: Array<Said> = []
  /** The offsets that it was answered, by the id of its message. */
  readonly acknowledged = new Map<string, number>()
  said = 0
  connections = 0
  isLive = false
  /** Its own that the history gave back: what it said before it was cut off, and has no answer for. */
  readonly #own = new Set<number>()
  readonly #socket: Socket

  constructor(name: string, room: string, socket: Socket) {
    this.name = name
    this.room = room
    this.#socket = socket
    socket.on("connect", () => void this.connections++)
    socket.on("disconnect", () => void (this.isLive = false))
    socket.on("live", () => void (this.isLive = true))
    socket.on("message", (data: unknown) => {
      if (!isSaid(data)) return
      if (data.from === name) this.#own.add(data.n)
      else this.heard.push(data)
    })
  }

  async talk(): Promise<void> {
    for (let n = 0; n < messages_per_client; n++) {
      while (!this.#own.has(n) && !(await this.#say(n))) {
        await until(`${this.name} is live again`, () => this.isLive)
      }
      this.said++
    }
  }

  /** Whether the log has it for sure. */
  async #say(n: number): Promise<boolean> {
    const id = `${this.name}-${n}`
    // A connection that is lost ends the wait too. An answer that is only late may not: the log has the message then.
    const answer = this.#socket.timeout(patience_ms).emitWithAck("message", { from: this.name, n }, id)
    const told: unknown = await answer.catch(() => undefined)
    if (typeof told !== "object" || told === null || !("offset" in told)) return false
    this.acknowledged.set(id, Number(String(told.offset).split(":")[1]))
    return true
  }
}

export const assertHeard = (talkers: ReadonlyArray<Talker>): void => {
  for (const { heard, name, room } of talkers) {
    const others = talkers.filter((other) => other.room === room && other.name !== name)
    assert.strictEqual(heard.length, others.length * messages_per_client, `${name} hears each message once`)
    for (const other of others) {
      const numbers = heard.filter(({ from }) => from === other.name).map(({ n }) => n)
      assert.deepStrictEqual(
        numbers,
        Array.from({ length: messages_per_client }, (_, n) => n),
        `${name} of ${other.name}`,
      )
    }
  }
  // One order for all of a room: what two of them heard of a third party stands in the same order.
  for (const [a, b] of talkers.slice(1).map((talker, i) => [talkers[i], talker] as const)) {
    if (a === undefined || a.room !== b.room) continue
    const common = (talker: Talker) =>
      talker.heard.filter(({ from }) => from !== a.name && from !== b.name).map(({ from, n }) => `${from}-${n}`)
    assert.deepStrictEqual(common(a), common(b))
  }
}
