/**
 * How far the client of one socket has certainly come: what was sent before a ping that it has answered.
 *
 * ```
 *   gateway   message 7 ─ message 8 ─ ping ─ message 9 ─┄
 *   client                                  pong ──▶ everything up to 8 has arrived
 * ```
 *
 * Packets of a connection are read in their order, and Socket.IO's clients of all languages answer a ping of Engine.IO as
 * they read it. Engine.IO asks every 25 seconds; this asks behind each message, one question at a time. An answer proves
 * that the client's library has the messages, not that the program has worked on them.
 */
import type { ChatSocket } from "./ChatEvents.ts"

export class Receipts {
  /** Everything below this has arrived. */
  arrived = -1
  readonly #conn: ChatSocket["conn"]
  readonly #position: () => number
  readonly #onArrived: () => void
  /** For each ping that is not answered, the position when it was sent. */
  readonly #asked: Array<number> = []
  #isDirty = false

  /** `position`: everything below it was handed to the transport. */
  constructor({ conn }: ChatSocket, position: () => number, onArrived: () => void) {
    this.#conn = conn
    this.#position = position
    this.#onArrived = onArrived
    conn.on("packetCreate", ({ type }: { readonly type: string }) => {
      if (type === "ping") this.#asked.push(this.#position())
      else if (type === "message" && !this.#isDirty) {
        this.#isDirty = true
        // Behind all that is sent in this turn.
        queueMicrotask(() => this.#ask())
      }
    })
    conn.on("heartbeat", () => this.#answered())
  }

  #ask(): void {
    if (!this.#isDirty || this.#asked.length > 0) return
    this.#isDirty = false
    // Private, but there is no other way to ask in the order of the messages.
    this.#conn["sendPacket"]("ping")
  }

  #answered(): void {
    const position = this.#asked.shift()
    if (position === undefined) return
    if (position > this.arrived) {
      this.arrived = position
      this.#onArrived()
    }
    this.#ask()
  }
}
