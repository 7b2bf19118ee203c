/**
 * Hostile gRPC: HTTP/2 written by hand. Messages that are wrong as values, wrong as protobuf, wrong in their length
 * prefix, calls with wrong metadata, and frames that break HTTP/2 itself.
 *
 * The fence is a message without an event's name, whose refusal has its id: it shows that the gateway has read all of
 * the call up to there, not just the transport below. What may end the call comes behind the fence and is not counted,
 * though most of it is answered; the next round then begins with a new call.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { EventRequestSchema, EventResponseSchema } from "@nimbus/gateway/proto"
import type { Dice } from "@nimbus/domain/testing/dice"
import { mutateBytes, mutateJson } from "./Mutations.ts"
import { type HostileTransport, type Round, Splitter, type Talk, type TalkOptions } from "./Talk.ts"

export const grpc: HostileTransport = {
  name: "grpc",
  port: "grpc",
  rounds: 40,
  talk: (about) => new GrpcTalk(about),
}

const messages_per_round = 64
/** HTTP/2's first window, of a connection and of each stream. It is given back when half of it is used. */
const window_bytes = 65_535
/** Then, and a message more, is less than half of it. */
const round_bytes = 24_000

const data = 0
export const headers = 1
export const reset = 3
export const ping = 6
const goAway = 7
const windowUpdate = 8
const endStream = 1

class GrpcTalk implements Talk {
  isClosing = false
  readonly #about: TalkOptions
  #stream = -1
  /** The last one said, and heard. */
  #fence = 0
  #heard = 0
  #isCallOpen = false
  /** Whether the call of this round may be refused: what it is opened with is hostile. */
  #mayBeRefused = false
  /** What the server takes: on the connection, and on the stream. */
  #window = window_bytes
  #streamWindow = window_bytes
  readonly #splitter = new Splitter((bytes, at) => (bytes.length - at < 9 ? undefined : 9 + bytes.readUIntBE(at, 3)))
  /** Of the call. */
  #answers = messages()

  constructor(about: TalkOptions) {
    this.#about = about
  }

  opening(): Round {
    const { dice } = this.#about
    const valid = Buffer.concat([preface, settings, window, http2(ping, 0, 0, Buffer.alloc(8))])
    if (dice.below(50) > 0) return { bytes: valid, frames: 0, isLast: false }
    return {
      bytes: dice.oneOf([mutateBytes(valid, dice), Buffer.from("GET / HTTP/1.1\r\n\r\n"), settings]),
      frames: 1,
      isLast: true,
    }
  }

  round(): Round {
    const { dice } = this.#about
    const room = this.#isCallOpen ? Math.min(this.#window, this.#streamWindow) : this.#window
    // Not given back: a client that sends more breaks the connection.
    if (room < window_bytes / 2) return { bytes: Buffer.alloc(0), frames: 0, isLast: true }
    this.#fence++
    if (this.#isCallOpen) return this.#messages([])
    this.#mayBeRefused = dice.below(8) === 0
    const call = this.#call()
    return this.#mayBeRefused
      ? { bytes: Buffer.concat([...call, this.#data(fence(this.#fence))]), frames: 1, isLast: false }
      : this.#messages(call)
  }

  #messages(parts: Array<Buffer>): Round {
    const { dice } = this.#about
    let frames = 0
    for (let bytes = 0; frames < messages_per_round && bytes < round_bytes; frames++) {
      if (dice.below(1_600) === 0) {
        parts.push(dice.oneOf(brokenFrames)(this.#stream, dice))
        return { bytes: Buffer.concat(parts), frames: frames + 1, isLast: true }
      }
      const message = prefixed(oddRequest(dice, this.#about.tokens !== undefined))
      bytes += message.length
      parts.push(this.#data(message))
    }
    parts.push(this.#data(fence(this.#fence)))
    if (dice.below(3) === 0) {
      parts.push(this.#data(ending(dice), dice.below(2) * endStream))
      this.#isCallOpen = false
    }
    return { bytes: Buffer.concat(parts), frames, isLast: false }
  }

  hear(chunk: Buffer): boolean {
    let isAnswered = false
    for (const bytes of this.#splitter.take(chunk)) isAnswered = this.#hearFrame(bytes) || isAnswered
    return isAnswered
  }

  /** Whether it answers the round. */
  #hearFrame(bytes: Buffer): boolean {
    const { tell } = this.#about
    const [type, flags, stream] = [bytes[3], bytes[4] ?? 0, bytes.readUInt32BE(5)]
    if (type === ping && flags === 1) return this.#fence === 0
    if (type === windowUpdate) this.#hearWindow(stream, bytes.readUInt32BE(9))
    if (type === goAway) tell(`GOAWAY ${bytes.readUInt32BE(13)}`)
    if (type === reset) tell(`RST_STREAM ${bytes.readUInt32BE(9)}`)
    const isAnswered = type === data && stream === this.#stream && this.#hearMessages(bytes.subarray(9))
    const isEnd = type === reset || ((type === data || type === headers) && (flags & endStream) === endStream)
    return (isEnd && this.#hearEnd(stream)) || isAnswered
  }

  #hearWindow(stream: number, bytes: number): void {
    if (stream === 0) this.#window += bytes
    else if (stream === this.#stream) this.#streamWindow += bytes
  }

  /** Before its fence that is an answer only to a call which was opened in a hostile way. */
  #hearEnd(stream: number): boolean {
    const isTooSoon = stream === this.#stream && this.#heard !== this.#fence
    this.#about.tell(isTooSoon && !this.#mayBeRefused ? "call ended before its fence" : "call ended")
    if (stream === this.#stream) this.#isCallOpen = false
    this.isClosing ||= isTooSoon && !this.#mayBeRefused
    return isTooSoon
  }

  /** Whether the fence is among them. */
  #hearMessages(data: Buffer): boolean {
    let isAnswered = false
    for (const message of this.#answers.take(data)) {
      const { error, eventId, seq } = fromBinary(EventResponseSchema, message.subarray(5))
      if (eventId === fenceId(this.#fence)) isAnswered = true
      else if (seq !== undefined) this.#about.tell("results")
      else if (error !== undefined) this.#about.tell(`told ${error.code}`)
    }
    if (isAnswered) this.#heard = this.#fence
    return isAnswered
  }

  /** With locks: a call that may be refused shows at times what counts for nothing. */
  #shown(): Headers {
    const { client, dice, tokens } = this.#about
    if (tokens === undefined) return []
    const isHostile = this.#mayBeRefused && dice.below(2) === 0
    return [["authorization", `Bearer ${isHostile ? tokens.hostile(client, dice) : tokens.of(client)}`]]
  }

  #data(message: Buffer, flags = 0): Buffer {
    this.#window -= message.length
    this.#streamWindow -= message.length
    return http2(data, flags, this.#stream, message)
  }

  /** The one before is given up, if the server has not ended it. */
  #call(): Array<Buffer> {
    const { client, dice } = this.#about
    const before = this.#stream === -1 ? [] : [http2(reset, 0, this.#stream, Buffer.from("00000008", "hex"))]
    this.#stream += 2
    this.#streamWindow = window_bytes
    this.#isCallOpen = true
    this.#answers = messages()
    const valid = [...headersOf(client), ...this.#shown()]
    return [...before, http2(headers, 4, this.#stream, hpack(this.#mayBeRefused ? mutateHeaders(valid, dice) : valid))]
  }
}

/** What ends its call, or leaves it in the middle of a message. */
const ending = (dice: Dice): Buffer => {
  const request = { eventName: "sq", number: 7, eventId: "e1", dataJson: '{"number":1}' }
  const valid = Buffer.from(toBinary(EventRequestSchema, create(EventRequestSchema, request)))
  const kind = dice.below(25)
  if (kind < 15) return prefixed(mutateBytes(valid, dice))
  if (kind < 19) return prefixed(Buffer.from(Array.from({ length: dice.below(64) }, () => dice.below(256))))
  const wrong = prefixed(valid)
  if (kind < 23)
    wrong.writeUInt32BE(dice.oneOf([0, 1, valid.length - 1, valid.length + 1, 262_145, 0x7fffffff, 0xffffffff]), 1)
  else wrong[0] = dice.oneOf([1, 2, 255])
  return wrong
}

const messages = () => new Splitter((bytes, at) => (bytes.length - at < 5 ? undefined : 5 + bytes.readUInt32BE(at + 1)))

const fenceId = (n: number): string => `fence ${n}`

const fence = (n: number): Buffer =>
  prefixed(Buffer.from(toBinary(EventRequestSchema, create(EventRequestSchema, { eventId: fenceId(n) }))))

/** Well-formed protobuf whose values are not what is expected. */
const oddRequest = (dice: Dice, isLocked: boolean): Buffer => {
  const dataJson =
    dice.below(2) === 0 ? mutateJson('{"number":7,"list":[1,2]}', dice).subarray(0, 4_000).toString() : ""
  const eventName = dice.oneOf(["sq", "sq", "event", "", "x".repeat(129), "\u0000", "__proto__", "constructor"])
  const eventId = dice.oneOf(["", "e1", "x".repeat(129), "\u0000"])
  const number = dice.oneOf([0, -1, 2_147_483_647, -2_147_483_648, 7])
  const ack = dice.below(3) > 0 ? undefined : dice.oneOf([0n, -1n, 9_223_372_036_854_775_807n, 12n])
  const cancel = dice.below(4) > 0 ? undefined : dice.oneOf(["", "e1", "x".repeat(129), "__proto__"])
  const request = {
    eventName,
    eventId,
    number,
    dataJson,
    ...(ack !== undefined && { ack }),
    ...(cancel !== undefined && { cancel }),
    ...(isLocked && dice.below(60) === 0 && { auth: dice.oneOf(["", "a.b.c", "x".repeat(2_000)]) }),
  }
  const bytes = Buffer.from(toBinary(EventRequestSchema, create(EventRequestSchema, request)))
  // Fields that nobody knows, and fields again.
  return dice.below(4) === 0 ? Buffer.concat([bytes, Buffer.from("f8ff01ffffffffffffffffff01", "hex"), bytes]) : bytes
}

export const prefixed = (message: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(5 + message.length)
  bytes[0] = 0
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, 5)
  return bytes
}

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

export const http2 = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
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

/** Of a call of `ProcessEvent`. */
export const headersOf = (client: string): Headers => [
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
          dice.oneOf(["after", "log", "ack", "journey", "notices", "grpc-encoding", "grpc-timeout"]),
          dice.oneOf(["", "-5", "1e999", "client", "gzip", "\u0000"]),
        ],
      ]
    default:
      return headers.with(at, [
        name,
        dice.oneOf(["", "x".repeat(500), "\u0000", "/grpc.health.v1.Health/Check", "é", "application/json"]),
      ])
  }
}

/** Literals without an index, not compressed. */
export const hpack = (headers: Headers): Buffer =>
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
  (_, dice) => http2(dice.oneOf([0, 1, 8]), 4, 2, Buffer.from("00000001", "hex")),
  (stream) => http2(0, 0, stream + 1_000, Buffer.from("x")),
  // Sizes that are wrong for their type, and beyond what was agreed.
  (stream, dice) => http2(dice.oneOf([2, 3, 4, 6, 7, 8]), 0, dice.oneOf([0, stream]), Buffer.from("abc")),
  () => Buffer.from("ffffff000000000001", "hex"),
  // Windows that overflow, or grow by nothing.
  (stream, dice) => http2(8, 0, dice.oneOf([0, stream]), Buffer.from(dice.oneOf(["7fffffff", "00000000"]), "hex")),
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
  (_, dice) => http2(4, 0, 0, Buffer.from(dice.oneOf(["0004ffffffff", "000500000001", "000200000009"]), "hex")),
  (_, dice) => Buffer.concat(Array.from({ length: 500 }, () => http2(dice.oneOf([4, 6]), 0, 0, Buffer.alloc(0)))),
  // Anything.
  (stream, dice) =>
    mutateBytes(http2(dice.below(12), dice.below(256), stream, Buffer.from("0000000568656c6c6f", "hex")), dice),
]
