import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { config, rulesAt } from "./AdmissionSettings.ts"

const read = (env: Readonly<Record<string, string>>) =>
  Effect.provideService(config, ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(env))

describe("the settings of who may ask", () => {
  it.effect.each([
    [{}, [], []],
    [{ NIMBUS_ORIGINS: "*" }, ["*"], []],
    [
      { NIMBUS_ORIGINS: "https://a.example, capacitor://localhost" },
      ["https://a.example", "capacitor://localhost"],
      [],
    ],
    [{ NIMBUS_CORS_ORIGINS: "https://a.example" }, ["https://a.example"], []],
    [{ NIMBUS_CORS_ORIGINS: "https://a.example", NIMBUS_ORIGINS: "https://b.example" }, ["https://b.example"], []],
    [{ NIMBUS_HOSTS: "Nimbus.example., [FD00::1] ,10.0.0.7" }, [], ["nimbus.example", "fd00::1", "10.0.0.7"]],
  ] as const)("%j: origins %j, hosts %j", ([env, origins, hosts]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read(env), { origins: [...origins], hosts: [...hosts], trustedProxies: [] })
    }),
  )

  it.effect("the proxies that are trusted are named by addresses, blocks and well-known names", () =>
    Effect.gen(function* () {
      const { trustedProxies } = yield* read({ NIMBUS_TRUSTED_PROXIES: "loopback, 10.0.0.0/8,2001:db8::/32" })
      assert.deepStrictEqual(trustedProxies, ["loopback", "10.0.0.0/8", "2001:db8::/32"])
      for (const text of ["proxy.example", "10.0.0.0/33", "loopback,", "*"]) {
        const { message } = yield* Effect.flip(read({ NIMBUS_TRUSTED_PROXIES: text }))
        assert.include(message, "must be addresses or blocks of them")
      }
    }),
  )

  it.effect.each([
    "here",
    "https://a.example/",
    "https://a.example,",
    "ftp:",
    "HTTPS://a.example",
    "https://a.example:443",
  ])("'%s' names no origins, under either name", (text) =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(read({ NIMBUS_ORIGINS: text }))).message, "must be origins")
      assert.include((yield* Effect.flip(read({ NIMBUS_CORS_ORIGINS: text }))).message, "must be origins")
    }),
  )

  it.effect.each(["http://a.example", "a.example:3000", "a.example,", "a b", "a/b", "*", "fd00::1"])(
    "'%s' names no hosts",
    (text) =>
      Effect.gen(function* () {
        assert.include((yield* Effect.flip(read({ NIMBUS_HOSTS: text }))).message, "must be names")
      }),
  )

  it.each([
    ["127.0.0.1", undefined, []],
    ["localhost", ["a.example"], ["a.example"]],
    ["::1", [], []],
    ["0.0.0.0", undefined, undefined],
    ["0.0.0.0", [], undefined],
    ["0.0.0.0", ["a.example"], ["a.example"]],
  ] as const)("listening at %s with hosts %j, the Hosts are %j", (at, hosts, checked) => {
    assert.deepStrictEqual(rulesAt(at, hosts === undefined ? {} : { hosts }).hosts, checked)
  })
})
