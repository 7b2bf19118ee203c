/** What the bounds of addresses are to a door. */
import { once } from "node:events"
import { connect as connectTcp, createServer, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import type { AddressGuard } from "../addresses/Addresses.ts"
import type { TooMany } from "../addresses/AddressBook.ts"
import { authority, directoryWith } from "../testing/Certificates.ts"
import { Door } from "./Door.ts"
import { read } from "./Material.ts"
import { peerCertificateOf } from "./PeerCertificates.ts"

const tooMany = (code: TooMany["code"]): TooMany => ({ code, retry_ms: 1_000 })

/** A port behind a door, with addresses that refuse so. */
const port = Effect.fnUntraced(function* (
  refusals: { readonly ask?: TooMany; readonly accept?: TooMany; readonly isProxy?: boolean } = {},
) {
  const { ca, sign } = yield* authority
  const material = yield* read(yield* directoryWith(yield* sign("IP:127.0.0.1"), ca))
  const told: Array<string> = []
  const shown: Array<string | undefined> = []
  const addresses: AddressGuard = {
    isProxy: () => refusals.isProxy === true,
    ask: () => refusals.ask,
    accept: (_, onClose) => {
      if (refusals.accept === undefined) onClose(() => told.push("gone"))
      return refusals.accept
    },
    openThrough: () => undefined,
    open: () => undefined,
    fail: () => void told.push("failure"),
    from: () => undefined,
  }
  const options = {
    protocol: "h2",
    addresses,
    opened: (socket: Socket) => {
      told.push("opened")
      shown.push(peerCertificateOf(socket)?.names[0])
      socket.end("hello")
    },
    refused: (code: string) => void told.push(code),
  } as const
  const door = new Door(options, 10_000, material)
  const server = createServer((socket) => door.take(socket))
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () => Effect.sync(() => server.close()),
  )
  const address = server.address()
  if (address === null || typeof address === "string") return assert.fail("no port")
  return { told, shown, sign, door, at: { port: address.port, host: "127.0.0.1", ca, ALPNProtocols: ["h2"] } }
})

const closed = (socket: Socket) =>
  Effect.promise(() => {
    socket.on("error", () => {})
    return new Promise((resolve) => socket.resume().once("close", resolve))
  })

describe("a door", () => {
  it.live("counts a connection until it is closed, and keeps none that it has let go", () =>
    Effect.gen(function* () {
      const { at, door, told } = yield* port()
      yield* closed(connectTls(at))
      yield* eventually(
        "it has gone",
        Effect.sync(() => told.includes("gone")),
      )
      assert.deepStrictEqual(told, ["opened", "gone"])
      assert.strictEqual(door.waiting, 0)
    }).pipe(Effect.scoped),
  )

  it.live.each([
    { ask: tooMany("TOO_MANY_FAILURES"), code: "TOO_MANY_FAILURES" },
    { accept: tooMany("TOO_MANY_OPENINGS"), code: "TOO_MANY_OPENINGS" },
  ])("has no handshake for a connection that is refused with $code", ({ code, ...refusals }) =>
    Effect.gen(function* () {
      const { at, told } = yield* port(refusals)
      const socket = connectTls(at)
      let heard = 0
      socket.once("secureConnect", () => heard++)
      yield* closed(socket)
      assert.strictEqual(heard, 0)
      assert.deepStrictEqual(told, [code])
    }).pipe(Effect.scoped),
  )

  it.live.each([
    { isProxy: false, what: "notes what its peer has shown", is: "URI:spiffe://a" },
    { isProxy: true, what: "notes of a trusted proxy nothing: it brings others", is: undefined },
  ])("$what", ({ is, isProxy }) =>
    Effect.gen(function* () {
      const { at, shown, sign } = yield* port({ isProxy })
      yield* closed(connectTls({ ...at, ...(yield* sign("URI:spiffe://a")) }))
      assert.deepStrictEqual(shown, [is])
    }).pipe(Effect.scoped),
  )

  it.live("counts a failed handshake as a failure of its address, but not a peer that has just gone", () =>
    Effect.gen(function* () {
      const { at, door, told } = yield* port()
      const check = connectTcp(at.port, at.host, () => check.end())
      yield* closed(check)
      yield* eventually(
        "it has gone",
        Effect.sync(() => told.length === 2),
      )
      assert.sameMembers(told, ["TLS_FAILED", "gone"])
      const other = connectTcp(at.port, at.host, () => other.write("what is this?\n\n"))
      yield* closed(other)
      assert.includeMembers(told.slice(2), ["failure", "TLS_FAILED"])
      assert.strictEqual(door.waiting, 0)
    }).pipe(Effect.scoped),
  )
})
