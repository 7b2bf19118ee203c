/** A key that its issuer removes: whoever came in by it is let out, while those with a newer one stay. */
import { once } from "node:events"
import * as Locks from "@nimbus/adapters/locks"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import { assert, describe, it } from "@effect/vitest"
import { Handlers } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { WebSocket } from "ws"
import * as Nimbus from "./Nimbus.ts"

/** A client that has been welcomed. */
const connected = Effect.fnUntraced(function* (url: string, clientId: string, token: string) {
  const headers = { authorization: `Bearer ${token}` }
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new WebSocket(`${url}/v1/stream?clientId=${clientId}`, ["nimbus.v1"], { headers })),
    (socket) => Effect.sync(() => socket.terminate()),
  )
  const [data] = yield* Effect.promise(() => once(socket, "message"))
  assert.strictEqual(JSON.parse(String(data)).type, "welcome")
  return socket
})

describe("a key that its issuer removes", () => {
  it.live("ends the sessions that came in by it, and no others", () =>
    Effect.gen(function* () {
      const issuer = yield* Issuer.make("RS256")
      const tokens = {
        issuers: [{ issuer: issuer.url, name: undefined, keys: { _tag: "Discovery" as const } }],
        audience: [Issuer.audience],
        clientClaim: "sub",
        isInsecure: false,
      }
      const settings = { tokens, hook: undefined, tls: undefined, rules: undefined, claims: [] }
      // The new key is asked for at once, however short ago the last question was.
      const locks = Locks.layerWith(settings, { keys_refresh_ms: 500, unknown_key_pause_ms: 0 })
      const services = yield* Layer.build(
        Nimbus.layerMemory().pipe(Layer.provide(Handlers.layer(Handlers.samples)), Layer.provide(locks)),
      )
      const url = yield* Effect.provideContext(Nimbus.url, services)
      const old = yield* connected(url, "alice", yield* Effect.promise(() => issuer.sign({ sub: "alice" })))
      yield* Effect.promise(() => issuer.rotate())
      const next = yield* connected(url, "bob", yield* Effect.promise(() => issuer.sign({ sub: "bob" })))
      issuer.keys.shift()
      const [code] = yield* Effect.promise(() => once(old, "close"))
      assert.strictEqual(code, 4503)
      assert.strictEqual(next.readyState, WebSocket.OPEN)
    }),
  )
})
