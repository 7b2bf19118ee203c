import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { config, settingsOf, where } from "./Settings.ts"

const settings = (env: Record<string, string>) =>
  Effect.map(config.parse(ConfigProvider.fromEnv({ env })), ({ password, ...rest }) => ({
    ...rest,
    password: password && Redacted.value(password),
  }))

const only = (host: string, port: number) => [{ host, port }] as const

const plain = {
  nodes: only("127.0.0.1", 6379),
  username: undefined,
  password: undefined,
  tls: false,
  db: 0,
  prefix: "nimbus",
}

describe("the settings of Redis", () => {
  it.effect("are a Redis on this machine by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* settings({}), plain)
    }),
  )

  it.effect("take an address as host and port, and as a URL with everything in it", () =>
    Effect.gen(function* () {
      const node = (host: string, port: number) => ({ ...plain, nodes: only(host, port) })
      assert.deepStrictEqual(
        yield* settings({ NIMBUS_REDIS_ADDRESS: "redis.example:6380" }),
        node("redis.example", 6380),
      )
      assert.deepStrictEqual(yield* settings({ NIMBUS_REDIS_ADDRESS: "redis.example" }), node("redis.example", 6379))
      assert.deepStrictEqual(yield* settings({ NIMBUS_REDIS_ADDRESS: "[::1]:6380" }), node("::1", 6380))
      assert.deepStrictEqual(yield* settings({ NIMBUS_REDIS_ADDRESS: "rediss://me:p%40ss@redis.example:6380/3" }), {
        ...node("redis.example", 6380),
        username: "me",
        password: "p@ss",
        tls: true,
        db: 3,
      })
    }),
  )

  it.effect("take several addresses for the nodes of a cluster", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* settings({ NIMBUS_REDIS_ADDRESS: "a:1, b:2" }), {
        ...plain,
        nodes: [
          { host: "a", port: 1 },
          { host: "b", port: 2 },
        ],
      })
    }),
  )

  it.effect(
    "take a password with a percent sign and a comma, escaped in an address, and as it is in its own setting",
    () =>
      Effect.gen(function* () {
        const password = (env: Record<string, string>) => Effect.map(settings(env), ({ password }) => password)
        assert.strictEqual(yield* password({ NIMBUS_REDIS_PASSWORD: "p%ss,w%41rd" }), "p%ss,w%41rd")
        assert.strictEqual(yield* password({ NIMBUS_REDIS_ADDRESS: "redis://:p%25ss%2Cword@h:1" }), "p%ss,word")
        const address = "redis://me:p%25ss%2Cword@a:1,redis://me:p%25ss%2Cword@b:2"
        assert.strictEqual(yield* password({ NIMBUS_REDIS_ADDRESS: address }), "p%ss,word")
      }),
  )

  it.effect("take REDIS_URL where there is no NIMBUS_REDIS_ADDRESS", () =>
    Effect.gen(function* () {
      const hosts = (env: Record<string, string>) => Effect.map(settings(env), ({ nodes }) => nodes[0].host)
      assert.strictEqual(yield* hosts({ REDIS_URL: "redis://old:1" }), "old")
      assert.strictEqual(yield* hosts({ REDIS_URL: "redis://old:1", NIMBUS_REDIS_ADDRESS: "new:1" }), "new")
    }),
  )

  it.effect("go by the setting of its own rather than by what the address says", () =>
    Effect.gen(function* () {
      const env = {
        NIMBUS_REDIS_ADDRESS: "redis://a:b@h:1/1",
        NIMBUS_REDIS_USERNAME: "me",
        NIMBUS_REDIS_PASSWORD: "secret",
        NIMBUS_REDIS_TLS: "true",
        NIMBUS_REDIS_DB: "2",
        NIMBUS_REDIS_PREFIX: "staging",
      }
      assert.deepStrictEqual(yield* settings(env), {
        nodes: only("h", 1),
        username: "me",
        password: "secret",
        tls: true,
        db: 2,
        prefix: "staging",
      })
    }),
  )

  it.effect("are TLS for all nodes as soon as anything asks for it", () =>
    Effect.gen(function* () {
      const tls = (env: Record<string, string>) => Effect.map(settings(env), ({ tls }) => tls)
      assert.isTrue(yield* tls({ NIMBUS_REDIS_ADDRESS: "rediss://a:1", NIMBUS_REDIS_TLS: "false" }))
      assert.isTrue(yield* tls({ NIMBUS_REDIS_ADDRESS: "a:1,rediss://b:2" }))
      assert.isTrue(yield* tls({ REDIS_URL: "rediss://a:1" }))
      assert.isFalse(yield* tls({ NIMBUS_REDIS_ADDRESS: "redis://a:1,b:2" }))
    }),
  )

  it.effect("refuse what is no address or prefix, and name the setting", () =>
    Effect.gen(function* () {
      for (const [name, value] of [
        ["NIMBUS_REDIS_ADDRESS", "http://h:1"],
        ["NIMBUS_REDIS_ADDRESS", "h:port"],
        ["NIMBUS_REDIS_ADDRESS", "a:1,,b:2"],
        ["NIMBUS_REDIS_ADDRESS", "redis://h:1/name"],
        ["REDIS_URL", "ftp://h:1"],
        ["REDIS_URL", "redis://:p%ss@h:1"],
        ["NIMBUS_REDIS_ADDRESS", "redis://p%ss:x@h:1"],
        ["NIMBUS_REDIS_ADDRESS", "redis://:pass,word@h:1"],
        ["NIMBUS_REDIS_ADDRESS", "redis://me:12,word@h:1"],
        ["NIMBUS_REDIS_ADDRESS", "redis://me:12,w:x@h:1,redis://me:12,w:x@i:1"],
        ["NIMBUS_REDIS_PREFIX", "a{b}"],
        ["NIMBUS_REDIS_DB", "-1"],
      ] as const) {
        const error = yield* Effect.flip(settings({ [name]: value }))
        assert.include(error.message, name, value)
        assert.notMatch(error.message, /p%ss|pass,|12,/)
      }
    }),
  )

  it("say where, and no secrets", () => {
    assert.strictEqual(where(settingsOf("redis://me:secret@a:1,b:2")), "a:1,b:2")
  })
})
