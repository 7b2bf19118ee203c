/** HTTP: large bodies, requests that are wrong, answers that are not read, messages to clients, admin reads. */
import type { Attack, Field } from "../Field.ts"
import { chunkOf, flood } from "../Flood.ts"

const request = (head: string, body = ""): Buffer =>
  Buffer.from(
    `${head} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )

const message = "/v1/clients/attacker-http/messages"
const piece = Buffer.alloc(16 * 1024, 0x20)
const most_bytes = 2 * 1024 * 1024

/** Nearly all of a body at once, and then a byte from time to time. */
const bodyWithoutEnd = (field: Field, isEndless: boolean): void => {
  const head = isEndless ? "Transfer-Encoding: chunked" : `Content-Length: ${most_bytes}`
  field.connect(
    "http",
    { reads: true },
    (socket) => {
      field.sent++
      const begin = `POST ${message} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${head}\r\n\r\n`
      socket.write(begin)
      const part = isEndless ? Buffer.concat([Buffer.from("4000\r\n"), piece, Buffer.from("\r\n")]) : piece
      for (let bytes = 0; bytes < most_bytes - 2 * piece.length; bytes += piece.length) socket.write(part)
      if (isEndless) field.every(1_000, () => void (socket.writable && socket.write(part)))
    },
    () => bodyWithoutEnd(field, isEndless),
  )
}

const chunked = `POST ${message} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`

const pipelined = (requests: ReadonlyArray<Buffer>, connections: number, reads: boolean): Attack["begin"] =>
  flood({
    port: "http",
    connections,
    reads,
    opening: () => [],
    chunk: chunkOf(requests, 16 * 1024),
  })

const wrong = [
  request("GET /nowhere"),
  request(`POST ${message}`, "{"),
  request(`POST ${message}`, '{"name":"","data":1}'),
  request("DELETE /v1/stream"),
  request("GET /v1/clients/attacker-http/results?limit=0"),
]

const admin = [
  "status",
  "pods",
  "topics",
  "clients",
  "roles",
  "history",
  "clients/attacker-0",
  "clients/attacker-0/mailbox",
]
const admin_reads = admin.map((path) => request(`GET /v1/admin/${path}`))

export const http: ReadonlyArray<Attack> = [
  {
    name: "bodies",
    what: "200 requests with bodies of 2 MiB that do not end",
    begin: (field) => {
      for (let n = 0; n < 200; n++) bodyWithoutEnd(field, n % 2 === 0)
    },
  },
  {
    name: "chunks",
    what: "20 requests with bodies in chunks of a byte",
    begin: flood({
      port: "http",
      connections: 20,
      reads: true,
      opening: () => [{ says: Buffer.from(chunked) }],
      chunk: chunkOf([Buffer.from("1\r\n \r\n")], 16 * 1024),
    }),
  },
  {
    name: "expectations",
    what: "8 connections ask with an expectation that nobody meets, pipelined",
    begin: pipelined([Buffer.from("GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle\r\n\r\n")], 8, true),
  },
  {
    name: "wrong-requests",
    what: "8 connections ask for what there is not, and post what is no JSON",
    begin: pipelined(wrong, 8, true),
  },
  {
    name: "pipelined",
    what: "8 connections ask, pipelined, for results and metrics, and do not read",
    begin: (field) => {
      pipelined([request("GET /v1/clients/attacker-0/results?limit=1000")], 4, false)(field)
      pipelined([request("GET /metrics")], 4, false)(field)
    },
  },
  {
    name: "messages",
    what: "4 connections post messages to clients, pipelined",
    begin: pipelined([request(`POST ${message}`, '{"name":"note","data":{"text":"hello"}}')], 4, true),
  },
  {
    name: "admin-reads",
    what: "8 connections ask all admin reads, pipelined",
    begin: pipelined(admin_reads, 8, true),
  },
  {
    name: "admin-watchers",
    what: "20 watch snapshots and do not read",
    begin: flood({
      port: "http",
      connections: 20,
      reads: false,
      opening: () => [],
      chunk: { bytes: request("GET /v1/admin/pictures"), count: 1 },
      once: true,
    }),
  },
]
