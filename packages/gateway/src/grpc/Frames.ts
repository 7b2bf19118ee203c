/**
 * Messages on a gRPC stream: a byte that says whether it is compressed, four bytes of length, the message. Where one
 * begins and another ends has nothing to do with HTTP/2's own frames, so a chunk holds any number of them, both ways.
 * Reads them; `FrameWriter.ts` writes them.
 */
import { Gathered } from "../sockets/Gathered.ts"
import { type Encoding, gunzip } from "./Compression.ts"

const head_bytes = 5

/** Why a stream can't be read on. `compressed`: a message is, on a call that did not say with what. */
export type FrameFault = "too-big" | "compressed" | "broken"

export class FrameReader {
  private readonly message_bytes: number
  private readonly encoding: Encoding
  /** What is not whole yet, or waits. */
  private readonly rest = new Gathered()

  /** `message_bytes`: the largest message, compressed or not. At most one of that size waits here for its end. */
  constructor(message_bytes: number, encoding: Encoding) {
    this.message_bytes = message_bytes
    this.encoding = encoding
  }

  /** Whether what has come ends within a message, where none that is whole waits. */
  get isWithin(): boolean {
    return this.rest.length > 0
  }

  /**
   * Hands on every message that is whole now, until one returns false: those behind it wait for the next call. What it
   * answers itself ends the stream.
   */
  read(chunk: Buffer, take: (message: Uint8Array) => boolean): FrameFault | undefined {
    this.rest.add(chunk)
    const { bytes } = this.rest
    let at = 0
    while (bytes.length - at >= head_bytes) {
      const isCompressed = bytes[at] !== 0
      if (isCompressed && (bytes[at] !== 1 || this.encoding === "identity")) return "compressed"
      const length = bytes.readUInt32BE(at + 1)
      if (length > this.message_bytes) return "too-big"
      const end = at + head_bytes + length
      if (end > bytes.length) break
      const sent = bytes.subarray(at + head_bytes, end)
      const message = isCompressed ? gunzip(sent, this.message_bytes) : sent
      if (typeof message === "string") return message
      at = end
      if (!take(message)) break
    }
    if (at === 0) return undefined
    this.rest.take()
    if (at < bytes.length) this.rest.add(bytes.subarray(at))
    return undefined
  }
}
