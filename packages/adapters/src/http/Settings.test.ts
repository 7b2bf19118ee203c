import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { config } from "./Settings.ts"

const secretOf = (byte: number): string => `whsec_${Buffer.alloc(24, byte).toString("base64")}`
/** With `=` at its end. */
const padded = `whsec_${Buffer.alloc(25, 3).toString("base64")}`

const read = (http: string, secret?: string) => {
  const env = { NIMBUS_HANDLERS_HTTP: http, ...(secret === undefined ? {} : { NIMBUS_HANDLERS_HTTP_SECRET: secret }) }
  const provided = Effect.provideService(config, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  return Effect.map(provided, (all) =>
    all.map(({ name, secret, task, url }) => ({ name, url, secret: Redacted.value(secret), ...(task && { task }) })),
  )
}

describe("the handlers that the environment names", () => {
  it.effect("are none by default", () =>
    Effect.gen(function* () {
      const provider = ConfigProvider.fromEnv({ env: {} })
      assert.deepStrictEqual(yield* Effect.provideService(config, ConfigProvider.ConfigProvider, provider), [])
    }),
  )

  it.effect("have one secret for all, or one of their own", () =>
    Effect.gen(function* () {
      const text = "orders=https://a.example/x?y=1, other=http://127.0.0.1:8000/"
      const [orders, other] = [
        { name: "orders", url: "https://a.example/x?y=1" },
        { name: "other", url: "http://127.0.0.1:8000/" },
      ]
      assert.deepStrictEqual(yield* read(text, padded), [
        { ...orders, secret: padded },
        { ...other, secret: padded },
      ])
      assert.deepStrictEqual(yield* read(text, `${secretOf(1)},other=${padded}`), [
        { ...orders, secret: secretOf(1) },
        { ...other, secret: padded },
      ])
      assert.deepStrictEqual(yield* read(text, `orders=${padded}, other=${secretOf(2)}`), [
        { ...orders, secret: padded },
        { ...other, secret: secretOf(2) },
      ])
    }),
  )

  it.effect("may be tasks, with what they say of themselves", () =>
    Effect.gen(function* () {
      const text = "a=task:https://a.example/?x=task:y,b=task+resumes:http://b.example,c=task+strings:https://c.example"
      const secret = padded
      assert.deepStrictEqual(yield* read(`${text},d=task+arrays:https://d.example`, padded), [
        { name: "a", url: "https://a.example/?x=task:y", secret, task: { resumes: false, combine: undefined } },
        { name: "b", url: "http://b.example", secret, task: { resumes: true, combine: undefined } },
        { name: "c", url: "https://c.example", secret, task: { resumes: false, combine: "strings" } },
        { name: "d", url: "https://d.example", secret, task: { resumes: false, combine: "arrays" } },
      ])
    }),
  )

  it.effect.each([
    { http: "ask=task:", says: "must be name=https://" },
    { http: "ask=task:a.example", says: "a task is name=task:…" },
    { http: "ask=task+resumed:https://a.example", says: "must be name=https://" },
    { http: "ask=task+resumes+strings:https://a.example", says: "must be name=https://" },
    { http: "ask=https://a.example,ask=task:https://b.example", says: "each with another name" },
    { http: "https://a.example", says: "must be name=https://" },
    { http: "=https://a.example", says: "must be name=https://" },
    { http: "orders=a.example", says: "must be name=https://" },
    { http: "orders=https://u:p@a.example", says: "must be name=https://" },
    { http: "orders=https://a.example,orders=https://b.example", says: "each with another name" },
    { http: "orders=https://a.example,", says: "must be name=https://" },
    { http: "orders=https://a.example", secret: "hunter2hunter2", says: "must be whsec_" },
    { http: "orders=https://a.example", secret: "whsec_c2hvcnQ=", says: "must be whsec_" },
    { http: "orders=https://a.example", secret: `other=${padded}`, says: "must have a secret for orders" },
  ])("are refused as $http with $secret", ({ http, says, secret = padded }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read(http, secret))
      assert.include(error.message, says)
      assert.notInclude(error.message, "hunter2")
    }),
  )

  it.effect("need a secret", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read("orders=https://a.example"))
      assert.include(error.message, "NIMBUS_HANDLERS_HTTP_SECRET")
    }),
  )
})
