/** Connections that are opened and say nothing, or next to nothing, or nonsense. */
import type { Attack, Field, Port } from "../Field.ts"

/** Connected a few at a time, as fast as the server accepts them. */
const at_once = 100

const many = (field: Field, port: Port, count: number, begin: (say: (bytes: Buffer) => void) => void): void => {
  let begun = 0
  const open = (): void => {
    if (begun >= count) return
    begun++
    stay()
  }
  const stay = (): void =>
    field.connect(
      port,
      { reads: true },
      (socket) => {
        begin((bytes) => {
          if (socket.write(bytes)) field.sent++
        })
        open()
      },
      // Who is sent away comes again.
      stay,
    )
  for (let n = 0; n < at_once; n++) open()
}

const slow = Buffer.from(
  `GET /v1/stream?clientId=attacker-slow HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${"x".repeat(10_000)}`,
)
/** Between two bytes of a request. */
const byte_every_ms = 250

const byteByByte = (field: Field) => (say: (bytes: Buffer) => void) => {
  let at = 0
  field.every(byte_every_ms, () => {
    if (at < slow.length) say(slow.subarray(at, ++at))
  })
}

/** All headers of an upgrade but for the empty line. */
const upgrading = Buffer.from(
  "GET /v1/stream?clientId=attacker-half HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
)
/** The beginning of a TLS handshake. */
const hello = Buffer.concat([Buffer.from("1603010200010001fc0303", "hex"), Buffer.alloc(500, 0x55)])

export const silent: ReadonlyArray<Attack> = [
  {
    name: "silent",
    what: "2,000 connections to each port say nothing",
    begin: (field) => {
      for (const port of ["http", "grpc"] as const) {
        many(field, port, 2_000, (say) => say(Buffer.alloc(0)))
      }
    },
  },
  {
    name: "slow-headers",
    what: "2,000 connections send a request byte by byte, 4 a second; 1,000 do not end an upgrade",
    begin: (field) => {
      many(field, "http", 2_000, byteByByte(field))
      many(field, "http", 1_000, (say) => say(upgrading))
    },
  },
  {
    name: "tls",
    what: "200 connections to each port speak TLS, and come again",
    begin: (field) => {
      for (const port of ["http", "grpc"] as const) many(field, port, 200, (say) => say(hello))
    },
  },
]
