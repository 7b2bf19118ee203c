/**
 * What requests under way have brought of their bodies, of all connections together. Each may bring `body_bytes`,
 * slowly, and many at once would fill the memory with what is not whole yet. Beyond `bodies_bytes` the request that has
 * brought the most, of those whose body is not whole, is refused with 503 `BUSY`, and the rest of it is not kept.
 *
 * What comes in small pieces, such as chunks of a byte, is handed on in larger ones: each piece takes up much more than
 * its bytes, and the reader of the body keeps them all until it is complete. To take them costs time, too, and Node
 * parses whatever the kernel has brought in one go: a body in more than `body_small_pieces` of them is refused with 400
 * `BAD_REQUEST`.
 *
 * The body of a GET or a HEAD means nothing: it is read and dropped, and does not count.
 */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { GatewayLimits } from "../Limits.ts"
import { Gathered } from "../sockets/Gathered.ts"
import { Unfinished } from "../sockets/Unfinished.ts"

const piece_bytes = 16 * 1024

type Fault = "too much" | "too small pieces"
type Refuse = (response: ServerResponse, why: Fault) => void
type BodyLimits = Pick<GatewayLimits, "bodies_bytes" | "body_small_pieces" | "piece_cost_bytes">

export class Bodies {
  readonly #limits: BodyLimits
  readonly #refuse: Refuse
  /** Until they are answered. */
  readonly #unfinished: Unfinished<ServerResponse>
  /** Whose bodies nobody waits for any more. */
  readonly #done = new WeakSet<ServerResponse>()

  constructor(limits: BodyLimits, refuse: Refuse) {
    this.#limits = limits
    this.#refuse = refuse
    this.#unfinished = new Unfinished(limits.bodies_bytes, (response) => this.#end(response, "too much"))
  }

  /** Counts the body of a request, which has brought nothing of it yet, until it is answered. */
  watch(request: IncomingMessage, response: ServerResponse): void {
    const push = request.push.bind(request)
    const isDropped = request.method === "GET" || request.method === "HEAD"
    const gathered = new Gathered()
    let small_pieces = 0
    request.push = (piece: Buffer | null): boolean => {
      if (piece === null) this.#unfinished.finish(response)
      else {
        if (!isDropped) this.#add(response, piece.length)
        if (piece.length < this.#limits.piece_cost_bytes) small_pieces++
        if (small_pieces > this.#limits.body_small_pieces) this.#end(response, "too small pieces")
      }
      // Nobody waits for what is left of it. Node reads it until the connection is closed.
      if (isDropped || this.#done.has(response)) return piece !== null || push(null)
      if (piece !== null) gathered.add(piece)
      const isDue = gathered.length >= piece_bytes || (piece === null && gathered.length > 0)
      const goesOn = !isDue || push(gathered.take())
      return piece === null ? push(null) : goesOn
    }
    response.once("close", () => {
      this.#done.add(response)
      this.#unfinished.remove(response)
    })
  }

  #end(response: ServerResponse, why: Fault): void {
    if (this.#done.has(response)) return
    this.#done.add(response)
    // Node lets go of a request once it is answered. A reader of its body would wait for the rest of it for ever.
    response.once("close", () => response.req.destroy(new Error("refused")))
    this.#refuse(response, why)
  }

  #add(response: ServerResponse, bytes: number): void {
    if (!this.#done.has(response)) this.#unfinished.set(response, this.#unfinished.bytesOf(response) + bytes)
  }
}
