/**
 * The encoding of a chunk of messages, which one message of Redis carries. Numbers are little-endian.
 *
 * ```
 *   frame    version u8, count u32, message…
 *   Push     1 u8, client, route, prev f64, seq f64, value length u32, headers length u32, value, headers as JSON
 *   Mail     2 u8, client
 *   Ack      3 u8, client, seq f64
 *   Nack     4 u8, client, route
 *   Kick     5 u8, client
 *   Drain    6 u8
 *   client   length u8, the client id, which is ASCII; a route the same, or length 0: none
 * ```
 *
 * A push without headers has the headers length 0. Values are not encoded again, and decoded values are views of the
 * frame. A frame of another version, or of another program, decodes as `undefined`, like a lost datagram.
 */
import {
  type AckMessage,
  type ClientId,
  clientIdUnsafe,
  type Cursor,
  type Headers,
  type PodMessage,
  type Push,
  type RouteId,
  routeIdUnsafe,
  seqUnsafe,
  start,
} from "@nimbus/domain/protocol"

type Message = PodMessage | AckMessage

export const encodeFrame = (messages: ReadonlyArray<Message>): Uint8Array => {
  const headers = messages.map((message) =>
    message._tag === "Push" && message.headers !== undefined ? encoder.encode(JSON.stringify(message.headers)) : none,
  )
  let size = FRAME_HEAD
  messages.forEach((message, i) => (size += sizeOf(message) + headers[i]!.length))
  const frame = Buffer.allocUnsafe(size)
  frame[0] = VERSION
  frame.writeUInt32LE(messages.length, 1)
  let at = FRAME_HEAD
  messages.forEach((message, i) => (at = write(frame, at, message, headers[i]!)))
  return frame
}

/** Frames of a pod channel. */
export const decodePodFrame = (bytes: Uint8Array): ReadonlyArray<PodMessage> | undefined =>
  decode(bytes, (reader, kind): PodMessage | undefined => {
    if (kind === KIND.Push) return readPush(reader)
    if (kind === KIND.Mail) return { _tag: "Mail", clientId: reader.client() }
    if (kind === KIND.Kick) return { _tag: "Kick", clientId: reader.client() }
    if (kind === KIND.Drain) return { _tag: "Drain" }
    return undefined
  })

/** Frames of an ack channel. */
export const decodeAckFrame = (bytes: Uint8Array): ReadonlyArray<AckMessage> | undefined =>
  decode(bytes, (reader, kind): AckMessage | undefined => {
    if (kind === KIND.Ack) return { _tag: "Ack", clientId: reader.client(), seq: reader.cursor() }
    if (kind === KIND.Nack) return readNack(reader)
    return undefined
  })

const VERSION = 2
const FRAME_HEAD = 5
const PUSH_HEAD = 24
const KIND = { Push: 1, Mail: 2, Ack: 3, Nack: 4, Kick: 5, Drain: 6 } as const

const encoder = new TextEncoder()
const none = new Uint8Array(0)

const sizeOf = (message: Message): number => {
  if (message._tag === "Drain") return 1
  const head = 2 + message.clientId.length
  if (message._tag === "Push") return head + 1 + message.route.length + PUSH_HEAD + message.value.length
  if (message._tag === "Nack") return head + 1 + (message.route?.length ?? 0)
  return message._tag === "Ack" ? head + 8 : head
}

const write = (frame: Buffer, from: number, message: Message, headers: Uint8Array): number => {
  frame[from] = KIND[message._tag]
  if (message._tag === "Drain") return from + 1
  const at = writeName(frame, from + 1, message.clientId)
  if (message._tag === "Push") return writePush(frame, writeName(frame, at, message.route), message, headers)
  if (message._tag === "Nack") return writeName(frame, at, message.route ?? "")
  return message._tag === "Ack" ? frame.writeDoubleLE(message.seq, at) : at
}

const writeName = (frame: Buffer, from: number, name: string): number => {
  frame[from] = name.length
  frame.write(name, from + 1, "latin1")
  return from + 1 + name.length
}

const writePush = (frame: Buffer, from: number, { prev, seq, value }: Push, headers: Uint8Array): number => {
  frame.writeDoubleLE(prev, from)
  frame.writeDoubleLE(seq, from + 8)
  frame.writeUInt32LE(value.length, from + 16)
  frame.writeUInt32LE(headers.length, from + 20)
  const at = from + PUSH_HEAD
  frame.set(value, at)
  frame.set(headers, at + value.length)
  return at + value.length + headers.length
}

const readPush = (reader: Reader): Push => {
  const names = { _tag: "Push" as const, clientId: reader.client(), route: reader.route() }
  const push = { ...names, prev: reader.seq(), seq: reader.seq() }
  const value_bytes = reader.u32()
  const headers_bytes = reader.u32()
  const value = reader.bytes(value_bytes)
  return headers_bytes === 0 ? { ...push, value } : { ...push, value, headers: reader.headers(headers_bytes) }
}

const readNack = (reader: Reader): AckMessage => {
  const nack = { _tag: "Nack" as const, clientId: reader.client() }
  const route = reader.route()
  return route.length === 0 ? nack : { ...nack, route }
}

const decode = <A>(
  bytes: Uint8Array,
  read: (reader: Reader, kind: number) => A | undefined,
): ReadonlyArray<A> | undefined => {
  const reader = new Reader(bytes)
  try {
    if (reader.u8() !== VERSION) return undefined
    const messages: Array<A> = []
    for (let left = reader.u32(); left > 0; left--) {
      const message = read(reader, reader.u8())
      if (message === undefined) return undefined
      messages.push(message)
    }
    return reader.isAtEnd ? messages : undefined
  } catch (error) {
    // The frame is truncated, or its headers are not JSON.
    if (error instanceof RangeError || error instanceof SyntaxError) return undefined
    throw error
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor({ buffer, byteLength, byteOffset }: Uint8Array) {
    this.#bytes = Buffer.from(buffer, byteOffset, byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  u32(): number {
    const value = this.#bytes.readUInt32LE(this.#at)
    this.#at += 4
    return value
  }

  seq() {
    return seqUnsafe(this.#f64())
  }

  cursor(): Cursor {
    const value = this.#f64()
    return value < 0 ? start : seqUnsafe(value)
  }

  client(): ClientId {
    return clientIdUnsafe(this.#name())
  }

  route(): RouteId {
    return routeIdUnsafe(this.#name())
  }

  bytes(length: number): Uint8Array {
    const from = this.#take(length)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, length)
  }

  /** Only `encodeFrame` writes these headers, from strings. They are therefore not checked. */
  headers(length: number): Headers {
    const from = this.#take(length)
    return JSON.parse(this.#bytes.toString("utf8", from, from + length))
  }

  #name(): string {
    const length = this.u8()
    const from = this.#take(length)
    return this.#bytes.toString("latin1", from, from + length)
  }

  #f64(): number {
    const value = this.#bytes.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  #take(length: number): number {
    const from = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError("past the end of the frame")
    return from
  }
}
