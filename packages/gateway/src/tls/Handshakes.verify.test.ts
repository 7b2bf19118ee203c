/** Handshakes that are none, or are broken anywhere: no door stays open for them, and an honest client is served. */
import { once } from "node:events"
import { connect as connectTcp, createServer } from "node:net"
import { connect as connectTls } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Random } from "effect"
import { authority, directoryWith } from "../testing/Certificates.ts"
import { Door } from "./Door.ts"
import { read } from "./Material.ts"

const handshakes = 3_000
const at_once = 50
const host = "127.0.0.1"

/** What an honest client begins with. */
const hello = Effect.promise(async () => {
  const server = createServer().listen(0, host)
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") return assert.fail("no port")
  const socket = connectTls({ port: address.port, host, servername: "localhost", ALPNProtocols: ["http/1.1"] })
  socket.on("error", () => {})
  const [end] = await once(server, "connection")
  const [bytes] = await once(end, "data")
  socket.destroy()
  server.close()
  return Buffer.from(bytes)
})

/** It, cut short, with other bytes in it, or none of it. */
const broken = Effect.fnUntraced(function* (whole: Buffer) {
  const kind = yield* Random.nextBetween(0, 4)
  const bytes = Buffer.from(whole)
  if (kind < 1) return bytes.subarray(0, yield* Random.nextIntBetween(0, whole.length))
  const changes = kind < 2 ? 1 : kind < 3 ? 16 : bytes.length
  for (let i = 0; i < changes; i++) {
    const where = changes === bytes.length ? i : yield* Random.nextIntBetween(0, bytes.length)
    bytes[where] = yield* Random.nextIntBetween(0, 256)
  }
  return bytes
})

/** Says it, goes on or ends, and waits for the other end. */
const say = (port: number, bytes: Buffer, ends: boolean) =>
  Effect.promise(
    () =>
      new Promise<void>((resolve) => {
        const socket = connectTcp(port, host, () => {
          if (ends) socket.end(bytes)
          else socket.write(bytes)
        })
        socket.on("error", () => {})
        socket.resume().once("close", () => resolve())
      }),
  )

describe("a door", () => {
  it.live(
    `is closed to ${handshakes} handshakes that are broken, and open to an honest one`,
    () =>
      Effect.gen(function* () {
        const { ca, sign } = yield* authority
        const material = yield* read(yield* directoryWith(yield* sign("IP:127.0.0.1"), ca))
        const told = { opened: 0, refused: 0 }
        const door = new Door(
          {
            protocol: "http/1.1",
            addresses: {
              from: () => undefined,
              isProxy: () => false,
              ask: () => undefined,
              accept: () => undefined,
              openThrough: () => undefined,
              open: () => undefined,
              fail: () => {},
            },
            opened: (socket) => {
              told.opened++
              socket.end("hello")
            },
            refused: () => void told.refused++,
          },
          // Whoever says no more than a part is waited for no longer.
          500,
          material,
        )
        const server = createServer((socket) => door.take(socket)).listen(0, host)
        yield* Effect.promise(() => once(server, "listening"))
        yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
        const address = server.address()
        if (address === null || typeof address === "string") return assert.fail("no port")
        const { port } = address

        const whole = yield* hello
        const one = Effect.gen(function* () {
          yield* say(port, yield* broken(whole), (yield* Random.nextBetween(0, 1)) < 0.5)
        })
        yield* Effect.all(
          Array.from({ length: handshakes }, () => one),
          { concurrency: at_once, discard: true },
        )
        yield* eventually(
          "all are told",
          Effect.sync(() => told.refused === handshakes && door.waiting === 0),
        )
        assert.strictEqual(told.opened, 0)

        const honest = connectTls({ port, host, ca })
        const [said] = yield* Effect.promise(() => once(honest, "data"))
        assert.strictEqual(String(said), "hello")
        honest.destroy()
      }).pipe(Effect.scoped, Random.withSeed("handshakes")),
    120_000,
  )
})
