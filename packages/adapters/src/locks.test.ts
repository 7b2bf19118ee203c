/** What the environment says of the locks: which settings go together, and what a file that they name may have in it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Authenticator } from "@nimbus/domain/services"
import { Cause, ConfigProvider, Effect, Exit, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Failure from "./process/Failure.ts"
import * as Locks from "./locks.ts"
import { keyOf, signBySecret, signWith } from "./tokens/testing/Issuer.ts"

const issuer = "https://login.example"
const secret = "a secret of the tests, 32 bytes long"
const needed = { NIMBUS_AUTH_ISSUER: issuer, NIMBUS_AUTH_AUDIENCE: "nimbus" }

type Env = Readonly<Record<string, string>>

const withEnv =
  (env: Env) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.provideService(effect, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

/** The line with which a process ends that has these settings; nothing: it starts. */
const lineOf = (env: Env) =>
  Effect.map(Effect.exit(Effect.scoped(Layer.build(Locks.layer))), (exit) => {
    if (Exit.isSuccess(exit)) return undefined
    assert.isFalse(Cause.hasDies(exit.cause), String(exit.cause))
    return Failure.lineOf(exit.cause)
  }).pipe(withEnv(env))

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-locks-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true })),
)

/** `Authenticator` is there, though the type does not say so. */
const authenticatorOf = (env: Env) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(Locks.layer)
    const found = yield* Effect.serviceOption(Authenticator).pipe(Effect.provideContext(services))
    return Option.getOrThrow(found)
  }).pipe(withEnv(env))

describe("the locks", () => {
  it.effect("are not there where nothing is said of them", () =>
    Effect.gen(function* () {
      const services = yield* Layer.build(Locks.layer)
      assert.isTrue(Option.isNone(yield* Effect.provideContext(Effect.serviceOption(Authenticator), services)))
    }).pipe(withEnv({})),
  )

  it.effect("stand on an issuer, its audience and what has its keys", () =>
    Effect.gen(function* () {
      const authenticator = yield* authenticatorOf({ ...needed, NIMBUS_AUTH_SECRET: secret })
      yield* TestClock.setTime(Date.now())
      const token = yield* Effect.promise(() => signBySecret(secret, issuer, {}))
      assert.strictEqual(String((yield* authenticator.authenticate({ token })).clientId), "alice")
      assert.strictEqual((yield* Effect.flip(authenticator.authenticate({}))).code, "TOKEN_MISSING")
    }),
  )

  it.effect.each([
    { what: "no audience", env: { NIMBUS_AUTH_ISSUER: issuer }, line: /^NIMBUS_AUTH_AUDIENCE: / },
    {
      what: "no issuer",
      env: { NIMBUS_AUTH_AUDIENCE: "nimbus" },
      line: /^NIMBUS_AUTH_AUDIENCE: must be set with NIMBUS_AUTH_ISSUER/,
    },
    { what: "a secret alone", env: { NIMBUS_AUTH_SECRET: secret }, line: /^NIMBUS_AUTH_SECRET: must be set with/ },
    {
      what: "a key set alone",
      env: { NIMBUS_AUTH_JWKS: "x.json" },
      line: /^NIMBUS_AUTH_JWKS: must be set with/,
    },
    { what: "rules alone", env: { NIMBUS_AUTH_RULES: "x.json" }, line: /^NIMBUS_AUTH_RULES: must be set with/ },
    {
      what: "two kinds of keys",
      env: { ...needed, NIMBUS_AUTH_SECRET: secret, NIMBUS_AUTH_JWKS: "x.json" },
      line: /^NIMBUS_AUTH_ISSUER: must have its keys from one of/,
    },
    { what: "an issuer that is no address", env: { ...needed, NIMBUS_AUTH_ISSUER: "login" }, line: /must be https:/ },
    { what: "plain http", env: { ...needed, NIMBUS_AUTH_ISSUER: "http://login.example" }, line: /must be https:/ },
    {
      what: "a further issuer without a name",
      env: { ...needed, NIMBUS_AUTH_ISSUER: `${issuer},https://b.example` },
      line: /^NIMBUS_AUTH_ISSUER: must be the issuer, and further ones as name=issuer/,
    },
    {
      what: "one name twice",
      env: { ...needed, NIMBUS_AUTH_ISSUER: `${issuer},b=https://b.example,b=https://c.example` },
      line: /each once/,
    },
    {
      what: "one issuer twice",
      env: { ...needed, NIMBUS_AUTH_ISSUER: `${issuer},b=${issuer}/` },
      line: /each once/,
    },
    {
      what: "a name of ours",
      env: { ...needed, NIMBUS_AUTH_ISSUER: `${issuer},certificate=https://b.example` },
      line: /further ones as name=issuer/,
    },
    {
      what: "keys of nobody",
      env: { ...needed, NIMBUS_AUTH_JWKS: "other=https://b.example/jwks" },
      line: /must name the issuer other/,
    },
    {
      what: "a key that is none",
      env: { ...needed, NIMBUS_AUTH_PUBLIC_KEY: "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----" },
      line: /^NIMBUS_AUTH_PUBLIC_KEY: it is no public key as PEM \(LOCKS_BAD/,
    },
    {
      what: "a file that is not there",
      env: { ...needed, NIMBUS_AUTH_JWKS: "/nowhere/jwks.json" },
      line: /^NIMBUS_AUTH_JWKS: the file \/nowhere\/jwks.json can't be read \(LOCKS_BAD/,
    },
    {
      what: "rules that are not there",
      env: { ...needed, NIMBUS_AUTH_SECRET: secret, NIMBUS_AUTH_RULES: "/nowhere/rules.json" },
      line: /^NIMBUS_AUTH_RULES: the file \/nowhere\/rules.json can't be read \(LOCKS_BAD/,
    },
  ])("with $what are told to be wrong in one line, before anything starts", ({ env, line }) =>
    Effect.gen(function* () {
      const told = yield* lineOf(env)
      assert(told !== undefined)
      assert.match(told, line)
      assert.notInclude(told, secret)
    }),
  )

  it.effect("take a public key from the environment, from a file, and from a set, of each issuer its own", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const directory = yield* temporary
      const [one, two] = yield* Effect.promise(() => Promise.all([keyOf("RS256"), keyOf("ES256")]))
      const pem = join(directory, "key.pem")
      writeFileSync(pem, one.pem)
      const set = join(directory, "jwks.json")
      writeFileSync(set, JSON.stringify({ keys: [two.jwk] }))
      for (const key of [one.pem, one.pem.replaceAll("\n", "\\n"), pem]) {
        const authenticator = yield* authenticatorOf({
          NIMBUS_AUTH_ISSUER: `${issuer},partners=https://partners.example`,
          NIMBUS_AUTH_AUDIENCE: "nimbus",
          NIMBUS_AUTH_PUBLIC_KEY: key,
          NIMBUS_AUTH_JWKS: `partners=${set}`,
        })
        const who = (signed: Promise<string>) =>
          Effect.flatMap(
            Effect.promise(() => signed),
            (token) => Effect.map(authenticator.authenticate({ token }), ({ clientId }) => String(clientId)),
          )
        assert.strictEqual(yield* who(signWith(one, issuer, {})), "alice")
        assert.strictEqual(yield* who(signWith(two, "https://partners.example", {})), "at.partners.alice")
      }
    }),
  )

  it.effect("read the file with the rules again, and keep those that they have where it is wrong", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const rules = join(yield* temporary, "rules.json")
      const write = (capability: string) => writeFileSync(rules, JSON.stringify([{ capabilities: [capability] }]))
      write("cancel")
      const authenticator = yield* authenticatorOf({
        ...needed,
        NIMBUS_AUTH_SECRET: secret,
        NIMBUS_AUTH_RULES: rules,
      })
      const token = yield* Effect.promise(() => signBySecret(secret, issuer, { exp: Date.now() / 1000 + 86_400 }))
      const may = (capability: "cancel" | "broadcast") =>
        Effect.map(authenticator.authenticate({ token }), ({ grants }) => grants.may(capability))
      assert.isTrue(yield* may("cancel"))
      writeFileSync(rules, "[{")
      yield* TestClock.adjust("15 seconds")
      assert.isTrue(yield* may("cancel"))
      write("broadcast")
      // Reading a file takes real time, and the wait for the next time begins after it.
      while (!(yield* may("broadcast"))) yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* may("cancel"))
    }),
  )
})
