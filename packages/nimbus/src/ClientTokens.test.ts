/** The SDK and the sample clients at a server with locks: how they come in, and what they say where they may not. */
import { assert, describe, it } from "@effect/vitest"
import { Issuer } from "@nimbus/adapters/testing/tokens"
import { Client, clientIdOf, Memory } from "@nimbus/client"
import { Effect } from "effect"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const issuer = "https://issuer.test"
const secret = "a secret of this test, of 32 bytes or more"
const tokenOf = (claims: Readonly<Record<string, unknown>>, key = secret) =>
  Effect.promise(() => Issuer.signBySecret(key, issuer, claims))

/** A server with locks. */
const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  const [http, grpc] = [yield* freePort, yield* freePort]
  yield* startServer({
    cwd,
    env: {
      ...withoutArchive,
      NIMBUS_HTTP_PORT: `${http}`,
      NIMBUS_PORT: `${grpc}`,
      NIMBUS_AUTH_ISSUER: issuer,
      NIMBUS_AUTH_AUDIENCE: "nimbus",
      NIMBUS_AUTH_SECRET: secret,
    },
  })
  return { cwd, http, grpc, url: `ws://127.0.0.1:${http}` }
})

/** A client of the SDK, whose results somebody takes. */
const open = Effect.fnUntraced(function* (url: string, clientId: string, token: () => string) {
  const client = yield* Client.make({ url, clientId, token }).pipe(Effect.provide(Memory.layerMemory, { local: true }))
  yield* Effect.forkScoped(Effect.ignore(client.run(() => Effect.void)))
  return client
})

describe("the SDK at a server with locks", () => {
  it.live("comes in by its token, as the client that the subject is, and is told what it may not send", () =>
    Effect.gen(function* () {
      const { url } = yield* place
      const sub = "auth0|123"
      const token = yield* tokenOf({ sub, nimbus: ["connect:{sub}", "connect:{sub}/*", "read", "ack", "send:sq"] })
      for (const clientId of [clientIdOf(sub), clientIdOf(sub, { device: "phone" })]) {
        const client = yield* open(url, clientId, () => token)
        assert.deepInclude(yield* client.request("sq", { number: 7 }), { data: { number: 7, result: 49 } })
        const refused = yield* Effect.flip(client.send("slow", { ms: 1 }))
        assert(refused._tag === "EventRefused")
        assert.deepInclude(refused.refusal, { code: "FORBIDDEN", capability: "send:slow" })
        assert.deepInclude(yield* client.request("sq", { number: 8 }), { data: { number: 8, result: 64 } })
      }
    }),
  )

  it.live("comes in by a token that is too long for a handshake, in its first frame", () =>
    Effect.gen(function* () {
      const { url } = yield* place
      const token = yield* tokenOf({ sub: "alice", groups: Array.from({ length: 500 }, (_, i) => `group-${i}`) })
      assert.isAbove(token.length, 4_096)
      const client = yield* open(url, "alice", () => token)
      assert.deepInclude(yield* client.request("sq", { number: 7 }), { data: { number: 7, result: 49 } })
    }),
  )

  it.live.each([
    { what: "is of another key", claims: {}, key: "another secret of this test, of 32 bytes", tag: "Unauthenticated" },
    { what: "is for somebody else", claims: { aud: "others" }, key: secret, tag: "Unauthenticated" },
    { what: "is of another subject", claims: { sub: "bob" }, key: secret, tag: "Forbidden" },
    { what: "does not allow to connect", claims: { nimbus: ["read"] }, key: secret, tag: "Forbidden" },
  ])("is told why a token counts for nothing that $what, and does not say it", ({ claims, key, tag }) =>
    Effect.gen(function* () {
      const { url } = yield* place
      const token = yield* tokenOf({ sub: "alice", ...claims }, key)
      let asked = 0
      const client = yield* open(url, "alice", () => ((asked += 1), token))
      const error = yield* Effect.flip(client.failed)
      assert.strictEqual(error._tag, tag, error.message)
      assert.match(error.message, tag === "Forbidden" ? /^FORBIDDEN: .*connect:alice/ : /^TOKEN_INVALID: /)
      assert.strictEqual(asked, tag === "Forbidden" ? 1 : 2)
      assert.notInclude(error.message, token)
    }),
  )
})

describe("the sample clients at a server with locks", () => {
  it.live("show a token of the command line, or of the environment", () =>
    Effect.gen(function* () {
      const { cwd, grpc, url } = yield* place
      const token = yield* tokenOf({ sub: "alice" })
      const byFlag = yield* nimbus(["client", "--client_id=alice", `--addr=${url}`, "--end=3", `--token=${token}`], {
        cwd,
      })
      assert.deepStrictEqual(yield* byFlag.ended, { code: 0, signal: null }, byFlag.stderr())
      const env = { NIMBUS_TOKEN: token }
      const byEnvironment = yield* nimbus(["client", "--client_id=alice", `--addr=${url}`, "--end=3"], { cwd, env })
      assert.deepStrictEqual(yield* byEnvironment.ended, { code: 0, signal: null }, byEnvironment.stderr())
      const addr = `--addr=127.0.0.1:${grpc}`
      const byGrpc = yield* nimbus(["grpc-client", "--client_id=alice", addr, "--end=3"], { cwd, env })
      assert.deepStrictEqual(yield* byGrpc.ended, { code: 0, signal: null }, byGrpc.stderr())
      for (const run of [byFlag, byEnvironment, byGrpc]) {
        assert.include(run.stdout(), "sq(3)")
        assert.notInclude(run.stdout() + run.stderr(), token)
      }
    }),
  )

  it.live("say in one line that they are known by nothing, or may not be who they say", () =>
    Effect.gen(function* () {
      const { cwd, grpc, url } = yield* place
      const env = { NIMBUS_TOKEN: yield* tokenOf({ sub: "alice" }) }
      const runs = [
        { args: ["client", `--addr=${url}`], env: {}, says: /nimbus: TOKEN_MISSING: .*\(UNAUTHENTICATED, / },
        { args: ["client", `--addr=${url}`], env, says: /nimbus: FORBIDDEN: .*connect:bob.*\(FORBIDDEN, / },
        {
          args: ["grpc-client", `--addr=127.0.0.1:${grpc}`],
          env: {},
          says: /nimbus: .*Unauthenticated: TOKEN_MISSING/,
        },
        { args: ["grpc-client", `--addr=127.0.0.1:${grpc}`], env, says: /nimbus: .*PermissionDenied: FORBIDDEN/ },
      ]
      for (const { args, env, says } of runs) {
        const run = yield* nimbus([...args, "--client_id=bob", "--end=1"], { cwd, env })
        assert.strictEqual((yield* run.ended).code, 1, run.stdout())
        assert.match(run.stderr(), says)
      }
    }),
  )
})
