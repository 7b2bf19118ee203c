/**
 * What requests under way have brought of their bodies, of all connections together. Each may bring `body_bytes`, slowly, and
 * many at once would fill the memory with what is not whole yet. Beyond `bodies_bytes` the request that has brought the
 * most, of those whose body is not whole, is refused with 503 `BUSY`, and the rest of it is not kept; so those with small
 * bodies go on. Nothing has been done for a request whose body is not whole, so it may be sent again.
 */
import type { IncomingMessage, ServerResponse } from "node:http"

export class Bodies {
  readonly #most_bytes: number
  readonly #refuse: (response: ServerResponse) => void
  /** Of requests that are not answered yet. */
  readonly #held = new Map<ServerResponse, number>()
  /** Of those, the ones whose body still comes. */
  readonly #coming = new Set<ServerResponse>()
  #sum_bytes = 0

  constructor(most_bytes: number, refuse: (response: ServerResponse) => void) {
    this.#most_bytes = most_bytes
    this.#refuse = refuse
  }

  /** Counts the body of a request, which has brought nothing of it yet, until it is answered. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    this.#held.set(response, 0)
    this.#coming.add(response)
    const push = request.push.bind(request)
    request.push = (piece: Uint8Array | null, encoding?: BufferEncoding): boolean => {
      if (piece === null) this.#coming.delete(response)
      else this.#add(response, piece.length)
      // Nobody waits for what is left of it. Node reads it until the connection is closed.
      return piece === null || this.#held.has(response) ? push(piece, encoding) : true
    }
    response.once("close", () => this.#drop(response))
  }

  #add(response: ServerResponse, bytes: number): void {
    const held_bytes = this.#held.get(response)
    if (held_bytes === undefined) return
    this.#held.set(response, held_bytes + bytes)
    this.#sum_bytes += bytes
    while (this.#sum_bytes > this.#most_bytes && this.#coming.size > 0) {
      const largest = this.#largest
      this.#drop(largest)
      // Node lets go of a request once it is answered. Whoever reads its body would wait for the rest of it for ever.
      largest.once("close", () => largest.req.destroy(new Error("refused")))
      this.#refuse(largest)
    }
  }

  get #largest(): ServerResponse {
    const bytesOf = (response: ServerResponse): number => this.#held.get(response) ?? 0
    return [...this.#coming].reduce((most, other) => (bytesOf(other) > bytesOf(most) ? other : most))
  }

  #drop(response: ServerResponse): void {
    this.#sum_bytes -= this.#held.get(response) ?? 0
    this.#held.delete(response)
    this.#coming.delete(response)
  }
}
