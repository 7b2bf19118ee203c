import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Logger, Redacted } from "effect"
import { Redis } from "ioredis"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { redisLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { script } from "./Script.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")

/** A Redis for this test alone, and a connection to tell it things. */
const ownRedis = Effect.gen(function* () {
  const services = yield* Effect.acquireRelease(
    Effect.promise(() => startServices(["redis"])),
    (services) => Effect.promise(() => services.stop()),
  )
  const server = services.get("redis")
  const tell = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(Number(server.address.split(":")[1])).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect()),
  )
  return { server, tell, settings: settingsOf(server.address) }
})

/** The lines that are logged where the layer is. */
const makeLog = () => {
  const lines: Array<string> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]) }
}

const connected = (settings: ReturnType<typeof settingsOf>) =>
  Effect.asVoid(RedisConnection).pipe(Effect.provide(RedisConnection.layerWith(settings)))

const echo = script("return ARGV[1]")

describe.skipIf(redis === undefined)("RedisConnection", () => {
  it.live("fails at once where Redis wants another password, and says so in one line", () =>
    Effect.gen(function* () {
      const { settings, tell } = yield* ownRedis
      yield* Effect.promise(() => tell.config("SET", "requirepass", "right"))
      for (const password of [undefined, "wrong"]) {
        const attempt = connected({ ...settings, ...(password !== undefined && { password: Redacted.make(password) }) })
        const error = yield* Effect.flip(attempt).pipe(Effect.timeout("30 seconds"))
        assert.propertyVal(error, "code", "REDIS_REFUSED")
        assert.match(error.message, /^Redis at 127\.0\.0\.1:\d+ turns us away: (NOAUTH|WRONGPASS) [^\n]*$/)
      }
      yield* connected({ ...settings, password: Redacted.make("right") })
    }),
  )

  it.live("fails where Redis would evict", () =>
    Effect.gen(function* () {
      const { settings, tell } = yield* ownRedis
      yield* Effect.promise(() => tell.config("SET", "maxmemory-policy", "allkeys-lru"))
      const error = yield* Effect.flip(connected(settings))
      assert.propertyVal(error, "code", "REDIS_EVICTS")
      assert.include(error.message, "allkeys-lru")
    }),
  )

  it.live("waits for a Redis that is not there yet, with a line when it begins and one when it ends", () =>
    Effect.gen(function* () {
      const { server, settings } = yield* ownRedis
      yield* Effect.promise(() => server.stop())
      const { layer, lines } = makeLog()
      const waiting = yield* Effect.forkChild(Effect.provide(connected(settings), layer))
      yield* eventually(
        "it waits",
        Effect.sync(() => lines.length > 0),
      )
      yield* Effect.promise(() => server.start())
      yield* Fiber.join(waiting)
      const [begun, ended] = lines
      assert.match(begun ?? "", /^waiting for Redis at 127\.0\.0\.1:\d+: connect ECONNREFUSED.*; to start it here: /)
      assert.match(ended ?? "", /^Redis at 127\.0\.0\.1:\d+ is there, after /)
    }),
  )

  it.live("fails what comes while Redis is away, and goes on, subscriptions too, when it is back", () =>
    Effect.gen(function* () {
      const { server, settings } = yield* ownRedis
      const { layer, lines } = makeLog()
      yield* Effect.gen(function* () {
        const connection = yield* RedisConnection
        const received: Array<string> = []
        yield* connection.subscribe("news", (message) => void received.push(Buffer.from(message).toString()))
        yield* Effect.promise(() => server.kill())
        const ask = Effect.result(connection.command("get", ["a"], Reply.text))
        yield* eventually(
          "a command fails",
          Effect.map(ask, ({ _tag }) => _tag === "Failure"),
        )
        const error = yield* Effect.flip(connection.publish("news", Buffer.from("lost"))).pipe(
          Effect.timeout("30 seconds"),
        )
        assert.propertyVal(error, "code", "REDIS_UNAVAILABLE")
        yield* Effect.promise(() => server.start())
        yield* eventually(
          "a command succeeds",
          Effect.map(ask, ({ _tag }) => _tag === "Success"),
        )
        const publish = Effect.map(connection.publish("news", Buffer.from("back")), (count) => count === 1)
        yield* eventually("the subscription is back", publish)
        yield* eventually(
          "the publish comes in",
          Effect.sync(() => received.includes("back")),
        )
        assert.notInclude(received, "lost")
        const told = lines.filter((line) => line.startsWith("the connection to Redis at "))
        assert.strictEqual(told.filter((line) => / fails: \S/.test(line)).length, 2, lines.join("\n"))
        assert.strictEqual(told.filter((line) => / works again, after \d+\.\d s and \d+ /.test(line)).length, 2)
        assert.strictEqual(told.length, 4)
      }).pipe(Effect.provide(RedisConnection.layerWith(settings)), Effect.provide(layer))
    }),
  )

  it.live("gives a connection up on which Redis owes a reply for too long, and makes it again", () =>
    Effect.gen(function* () {
      const { server, settings } = yield* ownRedis
      const signal = (name: "SIGSTOP" | "SIGCONT") =>
        Effect.sync(() => server.group !== undefined && process.kill(-server.group, name))
      yield* Effect.gen(function* () {
        const connection = yield* RedisConnection
        const ask = connection.command("get", ["a"], Reply.text)
        yield* Effect.addFinalizer(() => signal("SIGCONT"))
        yield* signal("SIGSTOP")
        const error = yield* Effect.flip(ask).pipe(Effect.timeout("30 seconds"))
        assert.propertyVal(error, "code", "REDIS_UNAVAILABLE")
        yield* signal("SIGCONT")
        const succeeds = Effect.map(Effect.result(ask), ({ _tag }) => _tag === "Success")
        yield* eventually("a command succeeds", succeeds)
      }).pipe(Effect.provide(RedisConnection.layerWith(settings, { ...redisLimits, reply_timeout_ms: 1_000 })))
    }),
  )

  it.live("tells Redis a script that it does not know, also between others that are under way", () =>
    Effect.gen(function* () {
      const { settings, tell } = yield* ownRedis
      yield* Effect.gen(function* () {
        const connection = yield* RedisConnection
        const call = (word: string) => connection.run(echo, ["a"], [word], Reply.text)
        assert.strictEqual(yield* call("first"), "first")
        const words = Array.from({ length: 50 }, (_, i) => `${i}`)
        for (let round = 0; round < 20; round++) {
          const flush = Effect.promise(() => tell.script("FLUSH"))
          const calls = words.map((word, i) => (i % 3 === 1 ? Effect.andThen(flush, call(word)) : call(word)))
          assert.deepStrictEqual(yield* Effect.all(calls, { concurrency: "unbounded" }), words)
        }
      }).pipe(Effect.provide(RedisConnection.layerWith(settings)))
    }),
  )

  it.live("fails a reply that is not what was expected", () =>
    Effect.gen(function* () {
      const { settings } = yield* ownRedis
      yield* Effect.gen(function* () {
        const connection = yield* RedisConnection
        const error = yield* Effect.flip(connection.command("ping", [], Reply.integer))
        assert.match(error.message, /instead of an integer/)
      }).pipe(Effect.provide(RedisConnection.layerWith(settings)))
    }),
  )
})
