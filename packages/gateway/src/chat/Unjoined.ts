/**
 * Connections of Engine.IO that have not joined the chat. A handshake costs its client one request, and it stays here for
 * as long as a heartbeat may take, 45 s, whether its client is still there or not. Clients of Socket.IO join with their
 * next packet, so only the newest `unjoined` are kept: the oldest makes room.
 */
export class Unjoined<C> {
  readonly #most: number
  readonly #close: (connection: C) => void
  /** The oldest first. */
  readonly #waiting = new Set<C>()

  constructor(most: number, close: (connection: C) => void) {
    this.#most = most
    this.#close = close
  }

  get size(): number {
    return this.#waiting.size
  }

  add(connection: C): void {
    this.#waiting.add(connection)
    if (this.#waiting.size <= this.#most) return
    const [oldest] = this.#waiting
    if (oldest === undefined) return
    this.#waiting.delete(oldest)
    this.#close(oldest)
  }

  /** It has joined, or has gone. */
  remove(connection: C): void {
    this.#waiting.delete(connection)
  }
}
