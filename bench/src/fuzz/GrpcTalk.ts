/**
 * Hostile gRPC: HTTP/2 written by hand. Messages that are wrong as values, wrong as protobuf, wrong in their length
 * prefix, calls with wrong metadata, and frames that break HTTP/2 itself.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { EventRequestSchema, EventResponseSchema } from "@nimbus/gateway/proto"
import type { Dice } from "../chaos/Dice.ts"
import { mutateBytes, mutateJson } from "./Mutations.ts"
import { type HostileDoor, type Round, Splitter, type Talk, type TalkOptions } from "./Talk.ts"

export const grpc: HostileDoor = {
  name: "grpc",
  port: "grpc",
  // HTTP/2's first window is 64 KiB for each connection, and nothing here asks for more.
  rounds: 6,
  talk: (about) => new GrpcTalk(about),
}

const messages_per_round = 32

class GrpcTalk implements Talk {
  readonly isClosing = false
  readonly #about: TalkOptions
  #stream = -1
  #fence = 0
  /** Bytes of DATA so far. */
  #sent = 0
  readonly #splitter = new Splitter((bytes, at) => (bytes.length - at < 9 ? undefined : 9 + bytes.readUIntBE(at, 3)))

  constructor(about: TalkOptions) {
    this.#about = about
  }

  opening(): Round {
    const { dice } = this.#about
    const valid = Buffer.concat([preface, settings, window, this.#ping()])
    if (dice.below(50) > 0) return { bytes: valid, frames: 0, isLast: false }
    return {
      bytes: dice.pick([mutateBytes(valid, dice), Buffer.from("GET / HTTP/1.1\r\n\r\n"), settings]),
      frames: 1,
      isLast: true,
    }
  }

  round(): Round {
    const { dice } = this.#about
    const parts: Array<Buffer> = [this.#call(false)]
    for (let frames = 1; frames <= messages_per_round; frames++) {
      if (dice.below(800) === 0) {
        parts.push(dice.pick(brokenFrames)(this.#stream, dice))
        return { bytes: Buffer.concat(parts), frames, isLast: true }
      }
      const message = this.#message()
      this.#sent += message.bytes.length
      // As much as the window lets through; what is beyond breaks the connection.
      if (this.#sent > 60_000)
        return { bytes: Buffer.concat([...parts, this.#ping()]), frames: frames - 1, isLast: frames === 1 }
      // What ends its call gets a call of its own.
      if (message.ends) parts.push(this.#call(dice.below(4) === 0))
      parts.push(http2(0, message.ends && dice.below(2) === 0 ? 1 : 0, this.#stream, message.bytes))
      if (message.ends) parts.push(this.#call(false))
    }
    return { bytes: Buffer.concat([...parts, this.#ping()]), frames: messages_per_round, isLast: false }
  }

  hear(chunk: Buffer): boolean {
    const { tell } = this.#about
    let isAnswered = false
    for (const bytes of this.#splitter.take(chunk)) {
      const [type, flags] = [bytes[3], bytes[4] ?? 0]
      if (type === 6 && flags === 1) isAnswered ||= bytes.readUInt32BE(13) === this.#fence
      else if (type === 7) tell(`GOAWAY ${bytes.readUInt32BE(13)}`)
      else if (type === 3) tell(`RST_STREAM ${bytes.readUInt32BE(9)}`)
      else if (type === 1 && (flags & 1) === 1) tell("call ended with a status")
      else if (type === 0) this.#hearMessages(bytes.subarray(9))
    }
    return isAnswered
  }

  /** A batch is written at once, so DATA holds whole messages or is passed over: this counts, and checks nothing. */
  #hearMessages(data: Buffer): void {
    for (let at = 0; at + 5 <= data.length;) {
      const end = at + 5 + data.readUInt32BE(at + 1)
      if (end > data.length) return
      try {
        const { error, seq } = fromBinary(EventResponseSchema, data.subarray(at + 5, end))
        if (seq !== undefined) this.#about.tell("results")
        else if (error !== undefined) this.#about.tell(`told ${error.code}`)
      } catch {
        return
      }
      at = end
    }
  }

  #ping(): Buffer {
    const payload = Buffer.alloc(8)
    payload.writeUInt32BE(++this.#fence, 4)
    return http2(6, 0, 0, payload)
  }

  #call(isHostile: boolean): Buffer {
    const { client, dice } = this.#about
    this.#stream += 2
    const headers = isHostile ? mutateHeaders(headersOf(client), dice) : headersOf(client)
    return http2(1, 4, this.#stream, hpack(headers))
  }

  #message(): { readonly bytes: Buffer; readonly ends: boolean } {
    const { dice } = this.#about
    const kind = dice.below(100)
    if (kind < 75) return { bytes: prefixed(oddRequest(dice)), ends: false }
    const valid = Buffer.from(
      toBinary(
        EventRequestSchema,
        create(EventRequestSchema, { eventName: "sq", number: 7, eventId: "e1", dataJson: '{"number":1}' }),
      ),
    )
    if (kind < 90) return { bytes: prefixed(mutateBytes(valid, dice)), ends: true }
    if (kind < 94)
      return { bytes: prefixed(Buffer.from(Array.from({ length: dice.below(64) }, () => dice.below(256)))), ends: true }
    const wrong = prefixed(valid)
    if (kind < 98)
      wrong.writeUInt32BE(dice.pick([0, 1, valid.length - 1, valid.length + 1, 262_145, 0x7fffffff, 0xffffffff]), 1)
    else wrong[0] = dice.pick([1, 2, 255])
    return { bytes: wrong, ends: true }
  }
}

/** Well-formed protobuf whose values are not what is expected. */
const oddRequest = (dice: Dice): Buffer => {
  const dataJson =
    dice.below(2) === 0 ? mutateJson('{"number":7,"list":[1,2]}', dice).subarray(0, 4_000).toString() : ""
  const eventName = dice.pick(["sq", "sq", "event", "", "x".repeat(129), "\u0000", "__proto__", "constructor"])
  const eventId = dice.pick(["", "e1", "x".repeat(129), "\u0000"])
  const number = dice.pick([0, -1, 2_147_483_647, -2_147_483_648, 7])
  const ack = dice.below(3) > 0 ? undefined : dice.pick([0n, -1n, 9_223_372_036_854_775_807n, 12n])
  const request = { eventName, eventId, number, dataJson, ...(ack !== undefined && { ack }) }
  const bytes = Buffer.from(toBinary(EventRequestSchema, create(EventRequestSchema, request)))
  // Fields that nobody knows, and fields again.
  return dice.below(4) === 0 ? Buffer.concat([bytes, Buffer.from("f8ff01ffffffffffffffffff01", "hex"), bytes]) : bytes
}

const prefixed = (message: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(5 + message.length)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, 5)
  return bytes
}

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

const http2 = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(9 + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, 9)
  return bytes
}

/** Streams may send us as much as they like, and the connection too. */
const settings = http2(4, 0, 0, Buffer.from("00047fffffff", "hex"))
const window = http2(8, 0, 0, Buffer.from("7fff0000", "hex"))

type Headers = ReadonlyArray<readonly [string, string]>

const headersOf = (client: string): Headers => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/nimbus.NimbusService/ProcessEvent"],
  [":authority", "gateway"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ["client_id", client],
]

const mutateHeaders = (headers: Headers, dice: Dice): Headers => {
  const at = dice.below(headers.length)
  const [name = "x"] = headers[at] ?? []
  switch (dice.below(5)) {
    case 0:
      return headers.toSpliced(at, 1)
    case 1:
      return [...headers, headers[at] ?? ["x", "y"]]
    case 2:
      return dice.shuffle(headers)
    case 3:
      return [
        ...headers,
        [
          dice.pick(["after", "log", "ack", "journey", "notices", "grpc-encoding", "grpc-timeout"]),
          dice.pick(["", "-5", "1e999", "client", "gzip", "\u0000"]),
        ],
      ]
    default:
      return headers.with(at, [
        name,
        dice.pick(["", "x".repeat(500), "\u0000", "/grpc.health.v1.Health/Check", "é", "application/json"]),
      ])
  }
}

/** Literals without an index, not compressed. */
const hpack = (headers: Headers): Buffer =>
  Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]))

const text = (words: string): Buffer => {
  const bytes = Buffer.from(words)
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const rest = bytes.length - 127
  const size = rest < 128 ? [127, rest] : [127, 0x80 | (rest & 0x7f), rest >> 7]
  return Buffer.concat([Buffer.from(size), bytes])
}

type Broken = (stream: number, dice: Dice) => Buffer

const brokenFrames: ReadonlyArray<Broken> = [
  // On the connection's own stream, on a stream of the server's, and on one that is not there.
  () => http2(0, 0, 0, Buffer.from("x")),
  (_, dice) => http2(dice.pick([0, 1, 8]), 4, 2, Buffer.from("00000001", "hex")),
  (stream) => http2(0, 0, stream + 1_000, Buffer.from("x")),
  // Sizes that are wrong for their type, and beyond what was agreed.
  (stream, dice) => http2(dice.pick([2, 3, 4, 6, 7, 8]), 0, dice.pick([0, stream]), Buffer.from("abc")),
  () => Buffer.from("ffffff000000000001", "hex"),
  // Windows that overflow, or grow by nothing.
  (stream, dice) => http2(8, 0, dice.pick([0, stream]), Buffer.from(dice.pick(["7fffffff", "00000000"]), "hex")),
  // Headers that can't be decoded, that are never finished, and too many.
  (stream) => http2(1, 4, stream + 2, Buffer.from("ffffffffff", "hex")),
  (stream) => Buffer.concat([http2(1, 0, stream + 2, Buffer.from([0x82])), http2(0, 0, stream, Buffer.from("x"))]),
  (stream) =>
    Buffer.concat([
      http2(1, 0, stream + 2, Buffer.from([0x82])),
      ...Array.from({ length: 64 }, () => http2(9, 0, stream + 2, hpack([["x", "y".repeat(4_000)]]))),
    ]),
  // Calls opened and reset at once.
  (stream) =>
    Buffer.concat(
      Array.from({ length: 100 }, (_, i) => i).flatMap((i) => [
        http2(1, 4, stream + 2 + 2 * i, hpack(headersOf("reset"))),
        http2(3, 0, stream + 2 + 2 * i, Buffer.from("00000008", "hex")),
      ]),
    ),
  // A push, settings that can't be, floods of pings and settings.
  (stream) => http2(5, 4, stream, Buffer.from("00000002", "hex")),
  (_, dice) => http2(4, 0, 0, Buffer.from(dice.pick(["0004ffffffff", "000500000001", "000200000009"]), "hex")),
  (_, dice) => Buffer.concat(Array.from({ length: 500 }, () => http2(dice.pick([4, 6]), 0, 0, Buffer.alloc(0)))),
  // Anything.
  (stream, dice) =>
    mutateBytes(http2(dice.below(12), dice.below(256), stream, Buffer.from("0000000568656c6c6f", "hex")), dice),
]
