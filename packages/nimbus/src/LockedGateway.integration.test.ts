/** A gateway process of a cluster with locks, as its environment says: whom it lets in, and whom not. */
import { once } from "node:events"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { WebSocket } from "ws"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"

const { kafka, redis } = inject("services")

/** What a client hears first, and with which code it is closed if it is. */
const heard = async (port: number, clientId: string, token?: string) => {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream?clientId=${clientId}`, ["nimbus.v1"], { headers })
  const frames: Array<string> = []
  const first = new Promise<void>((resolve) =>
    socket.once("message", (data: Buffer) => {
      frames.push(data.toString())
      resolve()
    }),
  )
  // What an error comes to shows in the close.
  socket.on("error", () => {})
  if (token === undefined) socket.once("open", () => socket.send(`{"type":"event","id":"e1","name":"sq","data":2}`))
  const closed = once(socket, "close")
  await Promise.race([first, closed])
  const { code, type } = JSON.parse(frames[0] ?? "{}")
  if (type === "welcome") {
    socket.close()
    return "welcome"
  }
  const [close] = await closed
  return `${code} ${close}`
}

describe.skipIf(kafka === undefined || redis === undefined)("a gateway process with locks", () => {
  it.live("knows the tokens of the issuers that its environment names", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* Issuer.make("RS256"), yield* Issuer.make("EdDSA")]
      const port = yield* freePort
      const cwd = yield* temporaryDirectory
      const env = {
        ...clusterOfItsOwn("locked"),
        NIMBUS_AUTH_ISSUER: `${one.url},partners=${two.url}`,
        NIMBUS_AUTH_AUDIENCE: Issuer.audience,
        NIMBUS_AUTH_JWKS: `partners=${two.jwksUrl}`,
      }
      yield* startMember("gateway", port, { cwd, env })
      const says = (clientId: string, token?: Promise<string>) =>
        Effect.promise(async () => heard(port, clientId, await token))
      assert.strictEqual(yield* says("alice", one.sign()), "welcome")
      assert.strictEqual(yield* says("at.partners.alice", two.sign()), "welcome")
      assert.strictEqual(yield* says("alice", two.sign()), "FORBIDDEN 4504")
      assert.strictEqual(yield* says("bob", one.sign()), "FORBIDDEN 4504")
      assert.strictEqual(yield* says("alice", one.sign({ aud: "other" })), "TOKEN_INVALID 4502")
      assert.strictEqual(yield* says("alice", one.sign({ exp: Issuer.now_s() - 600 })), "TOKEN_EXPIRED 4006")
      assert.strictEqual(yield* says("alice"), "TOKEN_MISSING 4502")
    }),
  )
})
