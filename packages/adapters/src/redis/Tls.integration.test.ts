/** Redis by TLS: reached where its certificate is trusted, and told nothing where not. */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { ConfigProvider, Effect, Layer, Logger } from "effect"
import { Redis } from "ioredis"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { at, freePorts } from "../../../../scripts/services/Tools.ts"
import { redisLimits } from "../Limits.ts"
import { certificate, listeningIn, trusting } from "../../../../scripts/services/Tls.ts"
import * as ChatAdapter from "./ChatAdapter.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { config } from "./Settings.ts"

const { redis } = inject("services")

/** A Redis with a port for TLS, one without, and a password; both ports are listened in on. */
const secured = Effect.gen(function* () {
  const files = yield* certificate
  const services = yield* Effect.acquireRelease(
    Effect.promise(() => startServices(["redis"])),
    (services) => Effect.promise(() => services.stop()),
  )
  const plainPort = Number(services.get("redis").address.split(":")[1])
  const tlsPort = at(yield* Effect.promise(() => freePorts(1)), 0)
  const tell = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(plainPort)),
    (client) => Effect.sync(() => client.disconnect()),
  )
  const settings = ["tls-cert-file", files.certificate, "tls-key-file", files.key, "tls-auth-clients", "no"]
  yield* Effect.promise(() => tell.call("CONFIG", "SET", ...settings, "tls-port", `${tlsPort}`))
  yield* Effect.promise(() => tell.config("SET", "requirepass", "secret"))
  return { files, tell, tlsPort, byTls: yield* listeningIn(tlsPort), inClear: yield* listeningIn(plainPort) }
})

const settingsOf = (env: Readonly<Record<string, string>>) => config.parse(ConfigProvider.fromEnv({ env }))

const connected = (env: Readonly<Record<string, string>>) =>
  Effect.flatMap(settingsOf(env), (settings) =>
    Effect.asVoid(RedisConnection).pipe(Effect.provide(RedisConnection.layerWith(settings), { local: true })),
  )

describe.skipIf(redis === undefined)("Redis by TLS", () => {
  it.live("is asked, listened to and broadcast through, and nothing of it is in clear text", () =>
    Effect.gen(function* () {
      const { byTls, files, tell, tlsPort } = yield* secured
      yield* trusting(files.certificate)
      const address = `127.0.0.1:${byTls.port}`
      for (const env of [
        { NIMBUS_REDIS_ADDRESS: `rediss://:secret@${address}` },
        { NIMBUS_REDIS_ADDRESS: address, NIMBUS_REDIS_PASSWORD: "secret", NIMBUS_REDIS_TLS: "true" },
      ]) {
        const settings = yield* settingsOf(env)
        yield* Effect.gen(function* () {
          const connection = yield* RedisConnection
          const received: Array<string> = []
          yield* connection.subscribe("news", (message) => void received.push(Buffer.from(message).toString()))
          yield* connection.publish("news", Buffer.from("hello"))
          yield* eventually(
            "the publish comes in",
            Effect.sync(() => received.includes("hello")),
          )
          assert.strictEqual(yield* connection.command("ping", [], Reply.text), "PONG")
          yield* ChatAdapter.make(settings)
          const ofTls = Effect.promise(async () => {
            const clients = String(await tell.client("LIST"))
              .trim()
              .split("\n")
            return clients.filter((line) => line.includes(` laddr=127.0.0.1:${tlsPort} `)).length
          })
          yield* eventually(
            "commands, subscriptions and broadcasts have their connections",
            Effect.map(ofTls, (count) => count === 3),
          )
        }).pipe(Effect.scoped, Effect.provide(RedisConnection.layerWith(settings), { local: true }))
      }
      assert.isAbove(byTls.heard().length, 1_000)
      for (const word of ["secret", "hello"]) assert.isFalse(byTls.heard().includes(word), word)
    }).pipe(Effect.scoped),
  )

  it.live("fails at once, and is told no password, where its certificate is not trusted or is another's", () =>
    Effect.gen(function* () {
      const { byTls, files } = yield* secured
      const fails = Effect.fnUntraced(function* (host: string, port: number, reason: RegExp) {
        const attempt = connected({ NIMBUS_REDIS_ADDRESS: `rediss://:secret@${host}:${port}` })
        const error = yield* Effect.flip(attempt).pipe(Effect.timeout("30 seconds"))
        assert.propertyVal(error, "code", "REDIS_TLS_FAILED")
        assert.match(error.message, /^no TLS with Redis at [\w.]+:\d+: [^\n]+$/)
        assert.match(error.message, reason)
      })
      yield* fails("127.0.0.1", byTls.port, /self-signed certificate/)
      yield* trusting(files.certificate)
      yield* fails("localhost", byTls.port, /does not match certificate/)
      assert.isAbove(byTls.heard().length, 0)
      assert.isFalse(byTls.heard().includes("secret"))
    }).pipe(Effect.scoped),
  )

  it.live("is waited for, with a hint, at a port that speaks otherwise, and still told nothing in clear text", () =>
    Effect.gen(function* () {
      const { inClear, tlsPort } = yield* secured
      for (const address of [`rediss://:secret@127.0.0.1:${inClear.port}`, `127.0.0.1:${tlsPort}`]) {
        const lines: Array<string> = []
        const settings = yield* settingsOf({ NIMBUS_REDIS_ADDRESS: address })
        const layer = RedisConnection.layerWith(settings, { ...redisLimits, connect_timeout_ms: 300 })
        const logs = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
        yield* Effect.forkScoped(Effect.provide(RedisConnection, Layer.provideMerge(layer, logs), { local: true }))
        yield* eventually(
          "it is waited for",
          Effect.sync(() => lines.length > 0),
        )
        assert.match(lines[0] ?? "", /^waiting for Redis at [^\n]*does NIMBUS_REDIS_TLS or rediss:\/\/ fit this port/)
      }
      assert.isAbove(inClear.heard().length, 0)
      assert.isFalse(inClear.heard().includes("secret"))
    }).pipe(Effect.scoped),
  )
})
