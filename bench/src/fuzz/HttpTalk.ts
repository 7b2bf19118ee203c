/** Hostile HTTP/1.1: whole requests with wrong words inside, pipelined, and requests that are not whole. */
import type { Dice } from "@nimbus/domain/testing/dice"
import { mutateBytes, mutateJson, odd } from "./Mutations.ts"
import type { HostileTransport, Round, Talk, TalkOptions } from "./Talk.ts"

export const http: HostileTransport = {
  name: "http",
  port: "http",
  rounds: 40,
  talk: (about) => new HttpTalk(about),
}

const requests_per_round = 8

class HttpTalk implements Talk {
  readonly isClosing = false
  readonly #about: TalkOptions
  /** Answers that are still to come. */
  #owed = 0
  #tail = ""

  constructor(about: TalkOptions) {
    this.#about = about
  }

  opening(): Round {
    return this.round()
  }

  round(): Round {
    const { client, dice } = this.#about
    const parts: Array<Buffer> = []
    for (let frames = 1; frames <= requests_per_round; frames++) {
      this.#owed++
      if (dice.below(100) === 0) {
        parts.push(broken(client, dice))
        return { bytes: Buffer.concat(parts), frames, isLast: true }
      }
      parts.push(this.#shown(whole(client, dice)))
    }
    return { bytes: Buffer.concat(parts), frames: requests_per_round, isLast: false }
  }

  /** With locks, with a token, which at times counts for nothing. */
  #shown(request: Buffer): Buffer {
    const { client, dice, tokens } = this.#about
    if (tokens === undefined) return request
    const token = dice.below(4) === 0 ? tokens.hostile(client, dice) : tokens.of(client)
    const host = "Host: localhost\r\n"
    const at = request.indexOf(host) + host.length
    return Buffer.concat([
      request.subarray(0, at),
      Buffer.from(`Authorization: Bearer ${token}\r\n`),
      request.subarray(at),
    ])
  }

  hear(chunk: Buffer): boolean {
    const text = this.#tail + chunk.toString("latin1")
    for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      if (status === "100") continue
      this.#owed--
      this.#about.tell(status?.startsWith("2") === true ? "accepted after all" : `HTTP ${status}`)
    }
    // A status line may be cut; one that was counted must not be counted again.
    this.#tail = text.slice(-12).replace(/^.*HTTP\/1\.1 \d{3} /s, "")
    return this.#owed === 0
  }
}

const bodies = [
  '{"name":"note","data":{"text":"hello"}}',
  '[{"name":"note","data":1},{"name":"note","id":"m1","data":[]}]',
  '{"id":"m2","name":"note","data":null}',
]

const cancels = ['{"id":"e1"}', '[{"id":"e1"},{"id":"e2"}]', '{"type":"cancel","id":"e1"}']

const request = (method: string, path: string, headers: string, body: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${body.length}\r\n\r\n`,
      "latin1",
    ),
    body,
  ])

/** Ends where it says, so that the next one may follow. */
const whole = (client: string, dice: Dice): Buffer => {
  const kind = dice.below(10)
  if (kind < 5) {
    const type = dice.below(5) === 0 ? dice.oneOf(types) : "application/json"
    const [what, valid] = dice.below(4) === 0 ? (["cancels", cancels] as const) : (["messages", bodies] as const)
    const path = `/v1/clients/${dice.below(5) === 0 ? dice.oneOf(names) : client}/${what}`
    return request("POST", path, `Content-Type: ${type}\r\n`, mutateJson(dice.oneOf(valid), dice))
  }
  if (kind < 8) {
    const of = dice.oneOf([
      `clients/${client}/results`,
      "rooms/hostile/messages",
      `clients/${dice.oneOf(names)}/results`,
    ])
    const search = dice.oneOf(["after", "limit", "incarnation", "nothing"])
    return request("GET", `/v1/${of}?${search}=${dice.oneOf(searches)}`, "", Buffer.alloc(0))
  }
  if (kind === 8) {
    const body = dice.below(2) === 0 ? mutateJson('["message",{}]', dice) : Buffer.from(`40\x1e42[${odd(dice)}]`)
    return request("POST", `/socket.io/?${dice.oneOf(polls)}`, "Content-Type: text/plain\r\n", body)
  }
  const method = dice.oneOf(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"])
  return request(method, dice.oneOf(paths), dice.oneOf(headers), Buffer.alloc(0))
}

const types = [
  "text/plain",
  "application/json; charset=utf-16",
  "",
  "application/x-www-form-urlencoded",
  "x".repeat(300),
]
const names = ["", "%00", "%ff", "%2e%2e%2f", "a%2fb", "x".repeat(200), "__proto__", "%", "%zz", "~"]
const searches = ["-2", "1e999", "", "NaN", "9007199254740993", "%ff", "0", "1001", "x".repeat(500), "%5b%5d"]
const polls = [
  "EIO=4&transport=polling&sid=nobody",
  "EIO=3&transport=polling",
  "EIO=4&transport=pigeon",
  "transport=polling",
  "EIO=4&transport=polling&sid=__proto__",
]
const paths = [
  "/",
  "//",
  "/v1",
  "/v1/stream",
  "/approach2/events?clientId=",
  "/v1/clients/%/results",
  "/../../etc/passwd",
  "/%2e%2e/%2e%2e/etc/passwd",
  `/${"a/".repeat(1_000)}`,
  "http://other/v1/stream",
  "*",
  "/healthz?%ff",
  "//[::/x",
]
const headers = [
  "",
  "Expect: 100-continue\r\n",
  "Cookie: a\r\n",
  "Transfer-Encoding-X: chunked\r\n",
  "Range: bytes=9-1\r\n",
]

/** Does not end where it says, or is no request. */
const broken = (client: string, dice: Dice): Buffer => {
  const path = `/v1/clients/${client}/messages`
  const body = dice.oneOf(bodies)
  const post = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`
  switch (dice.below(9)) {
    case 0:
      return Buffer.from(`${post}Content-Length: ${odd(dice)}\r\n\r\n${body}`)
    case 1:
      return Buffer.from(`${post}Content-Length: ${body.length + 1_000}\r\n\r\n${body}`)
    case 2:
      return Buffer.from(`${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${body}`)
    case 3:
      return Buffer.from(`${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${body}`)
    case 4:
      return Buffer.from(
        `${post}Transfer-Encoding: chunked\r\n\r\n${dice.oneOf(["-1", "ffffffffffffffffff", "zz", "5"])}\r\n${body}`,
      )
    case 5:
      return Buffer.from(`${post}X: ${"y".repeat(20_000)}\r\n\r\n`)
    case 6:
      return Buffer.from(`GET ${path} HTTP/${dice.oneOf(["0.9", "2.0", "1.2", "x"])}\r\n\r\n`)
    case 7:
      return Buffer.from(
        `${post}Upgrade: ${dice.oneOf(["websocket", "h2c", "x"])}\r\nConnection: Upgrade\r\n\r\n${body}`,
      )
    default:
      return mutateBytes(Buffer.from(`${post}Content-Length: ${body.length}\r\n\r\n${body}`), dice)
  }
}
