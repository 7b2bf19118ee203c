/**
 * What waits for one connection of Engine.IO, from any source: packets in its buffer, each of which counts for
 * `answer_cost_bytes` beside its data, for a pong of Engine.IO has none. What is on its way from there to the kernel is
 * bounded by `BoundedWebSockets.ts`, and by the one answer that a poll has.
 *
 * ```
 *   waiting > socket_buffer_bytes  ──▶ it is not read: the WebSocket is stopped, a POST waits before it is looked at
 *   the peer has taken it          ──▶ it is read again
 *   waiting > socket_cut_bytes     ──▶ it is cut off: TOO_SLOW
 * ```
 *
 * A poller that does not poll is silent, and Engine.IO's heartbeat ends it.
 */
import { BoundedWebSocket } from "../sockets/BoundedWebSockets.ts"
import type { GatewayLimits } from "../Limits.ts"
import type { ChatSocket } from "./ChatEvents.ts"

type Connection = ChatSocket["conn"]

export type OutgoingLimits = Pick<GatewayLimits, "answer_cost_bytes" | "socket_buffer_bytes" | "chat">

export class Outgoing {
  readonly #conn: Connection
  readonly #limits: OutgoingLimits
  readonly #onTooSlow: () => void
  #waiting_bytes = 0
  #isStopped = false
  #stopped: BoundedWebSocket | undefined
  #isEnded = false
  #held: (() => void) | undefined

  constructor(conn: Connection, limits: OutgoingLimits, onTooSlow: () => void) {
    this.#conn = conn
    this.#limits = limits
    this.#onTooSlow = onTooSlow
    conn.on("packetCreate", ({ data }: { readonly data?: string | Buffer }) => this.#add(data?.length ?? 0))
    conn.on("drain", () => this.#goOn())
    conn.on("close", () => this.#goOn())
    // Of those that came at once with the one that was too much.
    conn.on("packet", () => this.#isBeyond && this.#end())
  }

  /** Calls `read` when this connection is to be read. One that sends still more meanwhile is cut off. */
  whenRead(read: () => void): void {
    if (!this.#isStopped) return read()
    if (this.#held !== undefined) return this.#end()
    this.#held = read
  }

  get #isBeyond(): boolean {
    return this.#waiting_bytes > this.#limits.chat.socket_cut_bytes
  }

  #add(bytes: number): void {
    this.#waiting_bytes += bytes + this.#limits.answer_cost_bytes
    // Not within the loop of the writer.
    if (this.#isBeyond) queueMicrotask(() => this.#isBeyond && this.#end())
    if (this.#isStopped || this.#waiting_bytes <= this.#limits.socket_buffer_bytes) return
    this.#isStopped = true
    this.#stopped = webSocketOf(this.#conn.transport)
    this.#stopped?.stop()
  }

  #goOn(): void {
    this.#waiting_bytes = 0
    if (!this.#isStopped) return
    this.#isStopped = false
    this.#stopped?.goOn()
    const held = this.#held
    this.#held = undefined
    held?.()
  }

  /** Nothing more is written; the code of the close is for a peer that reads all the same. */
  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const ws = webSocketOf(this.#conn.transport)
    if (ws === undefined) this.#onTooSlow()
    else ws.endTooSlow()
    this.#conn.close(true)
  }
}

const webSocketOf = (transport: object): BoundedWebSocket | undefined =>
  "socket" in transport && transport.socket instanceof BoundedWebSocket ? transport.socket : undefined
