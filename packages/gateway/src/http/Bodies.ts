/**
 * What requests under way have brought of their bodies, of all connections together. Each may bring `body_bytes`, slowly, and
 * many at once would fill the memory with what is not whole yet. Beyond `bodies_bytes` the request that has brought the
 * most, of those whose body is not whole, is refused with 503 `BUSY`, and the rest of it is not kept.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Unfinished } from "../Unfinished.ts"

export class Bodies {
  /** Until they are answered. */
  readonly #unfinished: Unfinished<ServerResponse>
  /** Whose bodies nobody waits for any more. */
  readonly #done = new WeakSet<ServerResponse>()

  constructor(most_bytes: number, refuse: (response: ServerResponse) => void) {
    this.#unfinished = new Unfinished(most_bytes, (response) => {
      this.#done.add(response)
      // Node lets go of a request once it is answered. Whoever reads its body would wait for the rest of it for ever.
      response.once("close", () => response.req.destroy(new Error("refused")))
      refuse(response)
    })
  }

  /** Counts the body of a request, which has brought nothing of it yet, until it is answered. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    const push = request.push.bind(request)
    request.push = (piece: Uint8Array | null, encoding?: BufferEncoding): boolean => {
      if (piece === null) this.#unfinished.finish(response)
      else this.#add(response, piece.length)
      // Nobody waits for what is left of it. Node reads it until the connection is closed.
      return piece === null || !this.#done.has(response) ? push(piece, encoding) : true
    }
    response.once("close", () => {
      this.#done.add(response)
      this.#unfinished.remove(response)
    })
  }

  #add(response: ServerResponse, bytes: number): void {
    if (!this.#done.has(response)) this.#unfinished.set(response, this.#unfinished.bytesOf(response) + bytes)
  }
}
