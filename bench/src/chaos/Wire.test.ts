import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { until } from "../../../scripts/services/Tools.ts"
import { Wire } from "./Wire.ts"

/** It only ends what would never come. */
const patience_ms = 30_000

describe("a wire", () => {
  const ends: Array<() => unknown> = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  /** A client of a server that says everything twice. */
  const lay = async () => {
    const wire = await Wire.listen()
    const server = createServer((socket) =>
      socket.on("error", () => {}).on("data", (data) => socket.write([data, data].join(""))),
    )
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    assert.isTrue(address !== null && typeof address === "object")
    wire.to(typeof address === "object" && address !== null ? address.port : 0)
    ends.push(
      () => server.close(),
      () => wire.end(),
    )
    return { wire, ...open(wire) }
  }
  const open = (wire: Wire) => {
    const client = connect(wire.port, "127.0.0.1").on("error", () => {})
    ends.push(() => client.destroy())
    let heard = ""
    client.on("data", (data) => (heard += String(data)))
    return { client, heard: () => heard }
  }
  const isClosed = (client: Socket) => until(() => client.closed, patience_ms)

  it("passes on what is said, both ways", async () => {
    const { client, heard } = await lay()
    client.write("ab")
    assert.isTrue(await until(() => heard() === "abab", patience_ms))
  })

  it("cuts those who are there, and those who come, until it is mended", async () => {
    const { client, wire } = await lay()
    await once(client, "connect")
    wire.cut()
    assert.isTrue(await isClosed(client))
    assert.isTrue(await isClosed(open(wire).client))
    wire.mend()
    const { client: next, heard } = open(wire)
    next.write("c")
    assert.isTrue(await until(() => heard() === "cc", patience_ms))
  })

  it("holds back what is said while it is silent, and loses nothing of it", async () => {
    const { client, heard, wire } = await lay()
    client.write("a")
    assert.isTrue(await until(() => heard() === "aa", patience_ms))
    wire.change({ delay_ms: Number.POSITIVE_INFINITY })
    const said = "x".repeat(3_000_000)
    client.write(said)
    assert.isFalse(await until(() => heard().length > 2, 200))
    wire.change({})
    assert.isTrue(await until(() => heard().length === 2 + 2 * said.length, patience_ms))
  })

  it("delays each way", async () => {
    const { client, heard, wire } = await lay()
    wire.change({ delay_ms: 60 })
    const began = performance.now()
    client.write("a")
    assert.isTrue(await until(() => heard() === "aa", patience_ms))
    assert.isAtLeast(performance.now() - began, 119)
  })

  it("is as narrow as it is told to be, towards the client", async () => {
    const { client, heard, wire } = await lay()
    wire.change({ bytes_per_sec: 20_000 })
    const began = performance.now()
    client.write("x".repeat(4_000))
    assert.isTrue(await until(() => heard().length === 8_000, patience_ms))
    assert.isAtLeast(performance.now() - began, 300)
  })
})
