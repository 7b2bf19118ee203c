import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { config, corsOf } from "./Cors.ts"

const isAllowed = (origins: ReadonlyArray<string>, headers: IncomingMessage["headers"]) => {
  const request = Object.assign(new IncomingMessage(new Socket()), { headers })
  let allowed: boolean | undefined
  corsOf(origins).allowRequest?.(request, (_, isAllowed) => (allowed = isAllowed))
  return allowed
}

describe("Cors", () => {
  it.effect.each([
    [{}, undefined],
    [{ NIMBUS_CORS_ORIGINS: "*" }, ["*"]],
    [{ NIMBUS_CORS_ORIGINS: "https://a.example, https://b.example" }, ["https://a.example", "https://b.example"]],
  ])("%j names the origins %j", ([env, origins]) =>
    Effect.gen(function* () {
      assert.deepEqual(yield* config, origins)
    }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env)))),
  )

  it.effect.each(["here", "https://a.example/", "https://a.example,", "ftp:"])("'%s' names no origins", (text) =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(config)).message, "must be origins")
    }).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ NIMBUS_CORS_ORIGINS: text })))),
  )

  it("pages of the named origins and of this one come in, and so do clients that are no pages", () => {
    const origins = ["https://a.example"]
    assert.isTrue(isAllowed(origins, { origin: "https://a.example", host: "chat.example" }))
    assert.isTrue(isAllowed(origins, { origin: "https://chat.example", host: "chat.example" }))
    assert.isTrue(isAllowed(origins, { host: "chat.example" }))
    assert.isFalse(isAllowed(origins, { origin: "https://evil.example", host: "chat.example" }))
    assert.isFalse(isAllowed(origins, { origin: "null", host: "chat.example" }))
  })

  it("a star allows all, and nothing said leaves it to browsers", () => {
    assert.deepStrictEqual(corsOf(["*"]), { cors: { origin: "*" } })
    assert.deepStrictEqual(corsOf(undefined), {})
  })
})
