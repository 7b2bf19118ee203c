/**
 * Socket.IO's own parser, which looks at the text of a packet before it is parsed: a number in it that would not come
 * back as it was sent can't be told from another one afterwards. The event then has `InexactNumber` for its data, which
 * is refused where data is (`Incoming.ts`).
 */
import { inexactNumber } from "@nimbus/domain/json"
import * as parser from "socket.io-parser"

/** Why the data of an event can't be taken. */
export class InexactNumber {
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

export class Decoder extends parser.Decoder {
  readonly #inner = new parser.Decoder()
  #fault: InexactNumber | undefined = undefined

  constructor() {
    super()
    this.#inner.on("decoded", (packet) => {
      if (this.#fault !== undefined && Array.isArray(packet.data)) packet.data = [packet.data[0], this.#fault]
      this.emitReserved("decoded", packet)
    })
  }

  override add(chunk: unknown): void {
    // The buffers of a packet follow its text.
    if (typeof chunk === "string") this.#fault = faultIn(chunk)
    this.#inner.add(chunk)
  }

  override destroy(): void {
    this.#inner.destroy()
  }
}

export const Encoder = parser.Encoder

/** The JSON follows the packet's type, its namespace and its number. */
const faultIn = (packet: string): InexactNumber | undefined => {
  const from = packet.indexOf("[")
  const message = from === -1 ? undefined : inexactNumber(packet.slice(from))
  return message === undefined ? undefined : new InexactNumber(message)
}
