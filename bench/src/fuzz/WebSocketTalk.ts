/** Hostile WebSockets, at the level of bytes: RFC 6455 as it is, with wrong words inside, or RFC 6455 wrong. */
import { isUtf8 } from "node:buffer"
import type { Dice } from "@nimbus/domain/testing/dice"
import { mutateBytes, mutateJson, odd } from "./Mutations.ts"
import type { Tokens } from "./Tokens.ts"
import { type HostileTransport, type Round, Splitter, type Talk, type TalkOptions } from "./Talk.ts"

export interface WebSocketTransportOptions {
  readonly name: string
  readonly path: (client: string) => string
  /** Said first on each connection, and what the answer to it begins with. */
  readonly hello?: { readonly says: string; readonly answer: string }
  readonly framesPerRound: number
  /** One hostile frame's payload. */
  readonly payload: (dice: Dice, isLocked: boolean) => Buffer
  /** What a frame from the server comes to. */
  readonly outcome: (text: string) => string | undefined
}

export const webSocketTransport = (options: WebSocketTransportOptions): HostileTransport => ({
  name: options.name,
  port: "http",
  rounds: 40,
  talk: (about) => new WebSocketTalk(options, about),
})

const json = (name: string, path: string, valid: ReadonlyArray<string>, asks = ""): HostileTransport =>
  webSocketTransport({
    name,
    path: (client) => `${path}?clientId=${client}${asks}`,
    framesPerRound: 32,
    payload: (dice, isLocked) =>
      isLocked && dice.below(40) === 0 ? Buffer.from(dice.oneOf(auths)) : mutateJson(dice.oneOf(valid), dice),
    outcome: (text) => {
      const type = /^\{"type":"(\w+)"/.exec(text)?.[1]
      if (type === "accepted" || type === "event_accepted" || type === "cancelling") return "accepted after all"
      if (type !== "error" && type !== "refused" && type !== "reject") return undefined
      return `told ${/"code":"(\w+)"/.exec(text)?.[1] ?? "nothing"}`
    },
  })

const events = [
  '{"type":"event","id":"e1","name":"sq","data":{"number":7}}',
  '{"type":"event","id":"e2","name":"event","data":"this is a sample event"}',
  '{"type":"event","name":"event","data":{"list":[1,2,{"a":"b"}]}}',
  '{"type":"cancel","id":"e1"}',
  '{"task":12,"do":"end","run":"r.1","part":0,"type":"event","id":"e3","name":"event","data":1}',
  '{"type":"ack","seq":12}',
  '{"type":"ping"}',
]

const auths = [
  '{"type":"auth","token":"a.b.c"}',
  '{"type":"auth","token":7}',
  '{"type":"auth"}',
  '{"type":"auth","token":""}',
]

const plainEvents = [...events, '{"type":"event","data":"sample"}']

export const native = json("native", "/v1/stream", events)
export const approach2 = json("approach2", "/approach2/events", plainEvents, "&frames=all")
export const approach3 = json("approach3", "/approach3/events", plainEvents, "&frames=all")

class WebSocketTalk implements Talk {
  readonly #options: WebSocketTransportOptions
  readonly #about: TalkOptions
  #isOpen = false
  /** What came before the frames began. */
  #head = Buffer.alloc(0)
  #isGreeted: boolean
  isClosing = false
  #fence = 0
  readonly #splitter = new Splitter(sizeOf)

  constructor(options: WebSocketTransportOptions, about: TalkOptions) {
    this.#options = options
    this.#about = about
    this.#isGreeted = options.hello === undefined
  }

  opening(): Round {
    const { client, dice, tokens } = this.#about
    const path = this.#options.path(client)
    if (dice.below(10) === 0) return { bytes: hostileUpgrade(path, dice), frames: 1, isLast: true }
    if (tokens === undefined) return { bytes: upgrade(path), frames: 0, isLast: false }
    if (dice.below(10) > 0) return { bytes: upgrade(path, tokens.of(client)), frames: 0, isLast: false }
    return { bytes: Buffer.concat(this.#stranger(path, tokens)), frames: 1, isLast: true }
  }

  round(): Round {
    const { dice } = this.#about
    const { framesPerRound, hello, payload } = this.#options
    if (hello !== undefined && !this.#isGreeted) {
      return { bytes: frame(0x81, Buffer.from(hello.says)), frames: 0, isLast: false }
    }
    const parts: Array<Buffer> = []
    for (let frames = 1; frames <= framesPerRound; frames++) {
      if (dice.below(400) === 0) {
        const broken = dice.oneOf(brokenFrames)(payload(dice, this.#about.tokens !== undefined), dice)
        return { bytes: Buffer.concat([...parts, broken]), frames, isLast: true }
      }
      const bytes = payload(dice, this.#about.tokens !== undefined)
      const isBinary = dice.below(40) === 0
      // `ws` closes on text that is no UTF-8.
      const isLast = !isBinary && !isUtf8(bytes)
      if (isLast && dice.below(10) > 0) parts.push(frame(0x82, bytes))
      else parts.push(dice.below(20) === 0 ? fragments(bytes, isBinary, dice) : frame(isBinary ? 0x82 : 0x81, bytes))
      if (isLast && parts.at(-1)?.[0] !== 0x82) return { bytes: Buffer.concat(parts), frames, isLast: true }
    }
    this.#fence++
    parts.push(frame(0x89, Buffer.from(`fence ${this.#fence}`)))
    return { bytes: Buffer.concat(parts), frames: framesPerRound, isLast: false }
  }

  /** Whose token counts for nothing, wherever it is; and who sends at once what it may not. */
  #stranger(path: string, tokens: Tokens): ReadonlyArray<Buffer> {
    const { client, dice } = this.#about
    const { hello, payload } = this.#options
    const token = tokens.hostile(client, dice)
    const events = frame(0x81, payload(dice, this.#about.tokens !== undefined))
    if (dice.below(2) === 0) return [upgrade(path, token), events]
    const shown =
      hello === undefined ? JSON.stringify({ type: "auth", token }) : `40{"room":"hostile","token":"${token}"}`
    return [upgrade(path), frame(0x81, Buffer.from(shown)), events]
  }

  hear(chunk: Buffer): boolean {
    if (this.#isOpen) return this.#hearFrames(chunk)
    this.#head = Buffer.concat([this.#head, chunk])
    const end = this.#head.indexOf("\r\n\r\n")
    if (end === -1) return false
    const status = this.#head.toString("latin1", 9, 12)
    if (status !== "101") {
      this.#about.tell(`HTTP ${status}`)
      this.#head = Buffer.alloc(0)
      return false
    }
    this.#isOpen = true
    this.#hearFrames(this.#head.subarray(end + 4))
    return true
  }

  #hearFrames(chunk: Buffer): boolean {
    let isAnswered = false
    for (const bytes of this.#splitter.take(chunk)) {
      const opcode = (bytes[0] ?? 0) & 0x0f
      const payload = bytes.subarray(headerSize(bytes, 0))
      if (opcode === 0xa) isAnswered ||= payload.toString() === `fence ${this.#fence}`
      else if (opcode === 8) this.#hearClose(payload)
      else if (opcode === 1) isAnswered = this.#hearText(payload.toString("utf8", 0, 400)) || isAnswered
    }
    return isAnswered
  }

  #hearClose(payload: Buffer): void {
    this.isClosing = true
    const code = payload.length < 2 ? "without a code" : payload.readUInt16BE(0)
    this.#about.tell(`close ${code}`)
  }

  /** Whether it is the answer to the hello. */
  #hearText(text: string): boolean {
    const outcome = this.#options.outcome(text)
    if (outcome !== undefined) this.#about.tell(outcome)
    if (this.#isGreeted || this.#options.hello === undefined) return false
    this.#isGreeted = text.startsWith(this.#options.hello.answer)
    return this.#isGreeted
  }
}

const key = "dGhlIHNhbXBsZSBub25jZQ=="

/** A request for a WebSocket, as it should be. */
export const upgrade = (path: string, token?: string): Buffer =>
  Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
      `${token === undefined ? "" : `Authorization: Bearer ${token}\r\n`}\r\n`,
  )

const hostileUpgrade = (path: string, dice: Dice): Buffer => {
  const valid = upgrade(path)
  const text = valid.toString()
  switch (dice.below(6)) {
    case 0:
      return Buffer.from(text.replace(key, dice.oneOf(["", "short", "x".repeat(9_000), "\u0000"])))
    case 1:
      return Buffer.from(text.replace("Version: 13", `Version: ${odd(dice)}`))
    case 2: {
      const query = dice.oneOf(["after", "log", "ack", "journey", "frames", "clientId", "EIO", "transport", "sid"])
      return Buffer.from(
        text.replace(
          " HTTP",
          `&${query}=${dice.oneOf(["%ff", "%00", "", "1e999", "-5", "x".repeat(300), "__proto__"])} HTTP`,
        ),
      )
    }
    case 3:
      return Buffer.from(text.replace(/\?\S*/, ""))
    case 4:
      return Buffer.concat([valid, frame(0x81, Buffer.from("early")), Buffer.from([0xff])])
    default:
      return mutateBytes(valid, dice)
  }
}

/** A whole frame, masked, as a client's must be. `first`: FIN, RSV and opcode. */
export const frame = (first: number, payload: Buffer): Buffer => {
  const { length } = payload
  const size = length < 126 ? 6 : length < 65_536 ? 8 : 14
  const bytes = Buffer.allocUnsafe(size + length)
  bytes[0] = first
  bytes[1] = 0x80 | (size === 6 ? length : size === 8 ? 126 : 127)
  if (size === 8) bytes.writeUInt16BE(length, 2)
  if (size === 14) bytes.writeBigUInt64BE(BigInt(length), 2)
  // The mask is zero: the payload stands as it is.
  bytes.fill(0, size - 4, size)
  bytes.set(payload, size)
  return bytes
}

/** The same message in pieces, some of them empty, with a ping in between. */
const fragments = (payload: Buffer, isBinary: boolean, dice: Dice): Buffer => {
  const at = dice.below(payload.length + 1)
  return Buffer.concat([
    frame(isBinary ? 0x02 : 0x01, payload.subarray(0, at)),
    frame(0x00, Buffer.alloc(0)),
    frame(0x89, Buffer.from("in between")),
    frame(0x80, payload.subarray(at)),
  ])
}

type Broken = (payload: Buffer, dice: Dice) => Buffer

const brokenFrames: ReadonlyArray<Broken> = [
  // Opcodes that there are not.
  (payload, dice) => frame(0x80 | dice.oneOf([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), payload),
  // Reserved bits.
  (payload, dice) => frame(0x81 | dice.oneOf([0x10, 0x20, 0x40, 0x70]), payload),
  // A continuation of nothing; a message within a message.
  (payload) => frame(0x80, payload),
  (payload) => Buffer.concat([frame(0x01, payload), frame(0x81, payload)]),
  // Control frames that are too long or in pieces.
  (_, dice) => frame(dice.oneOf([0x88, 0x89, 0x8a]), Buffer.alloc(126 + dice.below(500), 0x61)),
  (_, dice) => frame(dice.oneOf([0x08, 0x09, 0x0a]), Buffer.from("x")),
  // No mask.
  (payload) => Buffer.concat([Buffer.from([0x81, Math.min(125, payload.length)]), payload.subarray(0, 125)]),
  // Lengths beyond the limit, beyond what a number holds, and beyond what follows.
  () => Buffer.from("81ff0000000000ffffff00000000", "hex"),
  () => Buffer.from("81ffffffffffffffffff00000000", "hex"),
  (payload) => Buffer.concat([Buffer.from("81fe7fff00000000", "hex"), payload.subarray(0, 1_000)]),
  // More than the limit, in one frame and in pieces.
  () => frame(0x81, Buffer.alloc(262_145, 0x20)),
  () => Buffer.concat([frame(0x01, Buffer.alloc(200_000, 0x20)), frame(0x80, Buffer.alloc(100_000, 0x20))]),
  // Closes with codes that may not be sent, a byte of a code, and a reason that is no UTF-8.
  (_, dice) => {
    const payload = Buffer.alloc(2)
    payload.writeUInt16BE(dice.oneOf([0, 999, 1004, 1005, 1006, 1015, 2999, 65_535, 1000, 4500]))
    return frame(0x88, payload)
  },
  () => frame(0x88, Buffer.from("03", "hex")),
  () => frame(0x88, Buffer.from("03e8ff", "hex")),
  // Anything.
  (payload, dice) => mutateBytes(frame(0x81, payload), dice),
  (_, dice) => Buffer.from(Array.from({ length: 1 + dice.below(64) }, () => dice.below(256))),
]

const headerSize = (bytes: Buffer, at: number): number => {
  const length = (bytes[at + 1] ?? 0) & 0x7f
  return length < 126 ? 2 : length === 126 ? 4 : 10
}

const sizeOf = (bytes: Buffer, at: number): number | undefined => {
  if (bytes.length - at < 2) return undefined
  const header = headerSize(bytes, at)
  if (bytes.length - at < header) return undefined
  if (header === 2) return 2 + ((bytes[at + 1] ?? 0) & 0x7f)
  return header === 4 ? 4 + bytes.readUInt16BE(at + 2) : 10 + Number(bytes.readBigUInt64BE(at + 2))
}
