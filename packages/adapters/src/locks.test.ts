/** What the environment says of the locks: which settings go together, and what a file that they name may have in it. */
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ClientId } from "@nimbus/domain/protocol"
import { Authenticator, type PeerCertificate } from "@nimbus/domain/services"
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
      what: "an issuer that is a name of ours",
      env: { ...needed, NIMBUS_AUTH_ISSUER: "nimbus-settings", NIMBUS_AUTH_SECRET: secret },
      line: /^NIMBUS_AUTH_ISSUER: must be the issuer/,
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
      what: "a secret where a public key belongs",
      env: { ...needed, NIMBUS_AUTH_PUBLIC_KEY: secret },
      line: /^NIMBUS_AUTH_PUBLIC_KEY: the file that it names can't be read \(LOCKS_BAD/,
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

const whsec = `whsec_${Buffer.alloc(24, 7).toString("base64")}`

/** A hook that answers so. */
const hookAt = (answer: (body: string) => unknown) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(async (request, response) => {
        const parts: Array<Buffer> = []
        for await (const part of request) parts.push(part)
        response.end(JSON.stringify(answer(Buffer.concat(parts).toString())))
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      const address = server.address()
      return { server, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/` }
    }),
    ({ server }) =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      }),
  )

const attempt = { wants: ClientId.make("alice::phone"), address: "192.0.2.1", transport: "test" }

const phone: PeerCertificate = {
  names: ["DNS:phone.example", "URI:spiffe://acme/device/7"],
  serial: "01",
  expires_s: 4_000_000_000,
}

describe("the locks of a hook", () => {
  it.live("are the hook's alone where no issuer is named, and after tokens where one is", () =>
    Effect.gen(function* () {
      const bodies: Array<string> = []
      const { url } = yield* hookAt((body) => {
        bodies.push(body)
        assert.include(body, `"wants":"alice::phone","address":"192.0.2.1","transport":"test"`)
        return body.includes(`"token"`) ? { subject: "carol" } : { capabilities: ["read"] }
      })
      const hook = { NIMBUS_AUTH_HOOK: url, NIMBUS_AUTH_HOOK_SECRET: whsec }
      const alone = yield* authenticatorOf(hook)
      assert.strictEqual(String((yield* alone.authenticate({ token: "opaque" }, attempt)).clientId), "carol")
      assert.strictEqual((yield* Effect.flip(alone.authenticate({}))).code, "TOKEN_MISSING")
      const besides = yield* authenticatorOf({ ...needed, ...hook, NIMBUS_AUTH_SECRET: secret })
      const token = yield* Effect.promise(() => signBySecret(secret, issuer, {}))
      const { clientId, grants } = yield* besides.authenticate({ token }, attempt)
      assert.strictEqual(String(clientId), "alice")
      assert.isFalse(grants.may("ack"))
      // Of a token that counts for nothing the hook hears nothing.
      const before = bodies.length
      assert.strictEqual((yield* Effect.flip(besides.authenticate({ token: "opaque" }))).code, "TOKEN_INVALID")
      assert.lengthOf(bodies, before)
    }),
  )

  it.effect.each([
    {
      what: "a secret alone",
      env: { NIMBUS_AUTH_HOOK_SECRET: whsec },
      line: /^NIMBUS_AUTH_HOOK_SECRET: must be set with/,
    },
    { what: "no secret", env: { NIMBUS_AUTH_HOOK: "https://hook.example" }, line: /^NIMBUS_AUTH_HOOK_SECRET: / },
    {
      what: "plain http",
      env: { NIMBUS_AUTH_HOOK: "http://hook.example", NIMBUS_AUTH_HOOK_SECRET: whsec },
      line: /^NIMBUS_AUTH_HOOK: must be https:/,
    },
  ])("with $what are told to be wrong in one line", ({ env, line }) =>
    Effect.gen(function* () {
      assert.match((yield* lineOf(env)) ?? "", line)
    }),
  )
})

describe("the locks of certificates", () => {
  it.effect("are there where an authority is named, know a device by its first URI, and go by rules of their own", () =>
    Effect.gen(function* () {
      const directory = yield* temporary
      const rules = join(directory, "rules.json")
      const device = { sub: "spiffe://acme/device/*" }
      writeFileSync(
        rules,
        JSON.stringify([
          { issuer: "certificate", match: device, capabilities: ["cancel"] },
          { match: device, capabilities: ["broadcast"] },
        ]),
      )
      const env = { NIMBUS_TLS: directory, NIMBUS_AUTH_RULES: rules }
      assert.match((yield* lineOf(env)) ?? "", /^NIMBUS_AUTH_RULES: must be set with what lets somebody in/)
      const told = { NIMBUS_TLS: directory, NIMBUS_AUTH_CLAIMS: "names" }
      assert.match((yield* lineOf(told)) ?? "", /^NIMBUS_AUTH_CLAIMS: must be set with what lets somebody in/)
      writeFileSync(join(directory, "ca.crt"), "")
      const authenticator = yield* authenticatorOf(env)
      const principal = yield* authenticator.authenticate({ certificate: phone })
      assert.deepInclude(principal, {
        issuer: "certificate",
        subject: "spiffe://acme/device/7",
        tokenId: "01",
        expires_s: 4_000_000_000,
      })
      assert.strictEqual(String(principal.clientId), "at.certificate.spiffe:3A:2F:2Facme:2Fdevice:2F7")
      assert.isTrue(principal.grants.may("cancel") && principal.grants.mayOf("connect", principal.clientId))
      assert.isFalse(principal.grants.may("broadcast"))
      assert.isTrue(authenticator.isKnown(principal))
      const codeOf = (shown: Parameters<typeof authenticator.authenticate>[0]) =>
        Effect.map(Effect.flip(authenticator.authenticate(shown)), ({ code }) => code)
      assert.strictEqual(yield* codeOf({}), "TOKEN_MISSING")
      assert.strictEqual(yield* codeOf({ token: "a.b.c", certificate: phone }), "TOKEN_INVALID")
      assert.strictEqual(yield* codeOf({ certificate: { ...phone, names: ["IP:127.0.0.1"] } }), "TOKEN_INVALID")
    }),
  )

  it.effect(
    "let in by a certificate as soon as TLS checks it: an authority that came since the start needs no restart",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const env = { ...needed, NIMBUS_AUTH_SECRET: secret, NIMBUS_TLS: directory }
        const authenticator = yield* authenticatorOf(env)
        // Without an authority TLS asks nobody for a certificate, and none comes here.
        assert.strictEqual((yield* Effect.flip(authenticator.authenticate({}))).code, "TOKEN_MISSING")
        writeFileSync(join(directory, "ca.crt"), "")
        assert.strictEqual(
          (yield* authenticator.authenticate({ certificate: phone })).subject,
          "spiffe://acme/device/7",
        )
      }),
  )

  it.effect("are none where certificates are not checked: what a transport says of one counts for nothing", () =>
    Effect.gen(function* () {
      const authenticator = yield* authenticatorOf({ ...needed, NIMBUS_AUTH_SECRET: secret })
      assert.strictEqual((yield* Effect.flip(authenticator.authenticate({ certificate: phone }))).code, "TOKEN_MISSING")
    }),
  )
})

describe("docs/security.md", () => {
  const page = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8")
  const blockOf = (language: string): string =>
    new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "s").exec(page)?.[1] ?? assert.fail(`no block of ${language}`)

  it.effect("has a function that makes tokens by a secret, and they count", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      const file = join(yield* temporary, "tokens.mjs")
      writeFileSync(file, blockOf("js").replace("process.env.NIMBUS_AUTH_SECRET", JSON.stringify(secret)))
      const { tokenFor }: { tokenFor: (user: string) => string } = yield* Effect.promise(() => import(file))
      const env = { NIMBUS_AUTH_ISSUER: "app", NIMBUS_AUTH_AUDIENCE: "nimbus", NIMBUS_AUTH_SECRET: secret }
      const authenticator = yield* authenticatorOf(env)
      const { clientId } = yield* authenticator.authenticate({ token: tokenFor("alice") })
      assert.strictEqual(String(clientId), "alice")
    }),
  )

  it.effect("has a file of rules, and it is right", () =>
    Effect.gen(function* () {
      const file = join(yield* temporary, "rules.json")
      writeFileSync(file, blockOf("json"))
      const env = { ...needed, NIMBUS_AUTH_SECRET: secret, NIMBUS_AUTH_RULES: file }
      assert.isUndefined(yield* lineOf(env))
    }),
  )
})
