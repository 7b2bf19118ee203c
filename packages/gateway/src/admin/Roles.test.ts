import { request } from "node:http"
import { assert, describe, it, layer } from "@effect/vitest"
import { type AdminRole, adminRoles } from "@nimbus/domain/access"
import { AdminApi, RoleNeeded } from "@nimbus/domain/admin"
import { Audit, type AuditEntry } from "@nimbus/domain/services"
import { Clock, ConfigProvider, Context, Effect, Layer, Option, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { HttpApi } from "effect/http-api"
import { Gateway } from "../index.ts"
import { adminLimits } from "../Limits.ts"
import * as Locks from "../testing/Locks.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"
import * as Authorization from "./Authorization.ts"

/** Each endpoint, with the role that it asks for and a path that names something. */
const endpoints: Array<{
  readonly name: string
  readonly role: AdminRole
  readonly method: string
  readonly path: string
}> = []
HttpApi.reflect(AdminApi, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { annotations, identifier, method, path } }) => {
    const named = path.replace(":partition/:offset", "0/0").replace(":seq", "0").replace(/:\w+/, "nobody")
    endpoints.push({ name: identifier, role: Context.get(annotations, RoleNeeded), method, path: named })
  },
})

const bodies: Readonly<Record<string, object>> = {
  replay: { from: 0 },
  forget: { clientIds: ["nobody"] },
  cancel: { id: "e1" },
  setRole: { isRunning: false },
}

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly capability: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
}

const Said = (text: string): { readonly code?: string; readonly capability?: string } => Object(JSON.parse(text))

/** Pictures have no end: theirs is told by the head alone. */
const ask = ({ method, name, path }: (typeof endpoints)[number], token: string | undefined) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.callback<Answer>((resume) => {
      const headers = {
        "content-type": "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      }
      const sent = request(`${address}${path}`, { method, headers }, (response) => {
        const { headers, statusCode: status = 0 } = response
        const answer = (code?: string, capability?: string) =>
          resume(Effect.succeed({ status, code, capability, headers }))
        if (status === 200) {
          response.destroy()
          return answer()
        }
        let text = ""
        response.setEncoding("utf8").on("data", (some: string) => (text += some))
        response.on("end", () => answer(Said(text).code, Said(text).capability))
      })
      sent.on("error", (error) => resume(Effect.die(error)))
      sent.end(method === "POST" ? JSON.stringify(bodies[name] ?? {}) : undefined)
    }),
  )

const tokenOf = (role: AdminRole) => `${role}-0123456789abcdef`
const named = adminRoles.map((role) => ({ name: `a-${role}`, role, token: Redacted.make(tokenOf(role)) }))
const tokens = Option.some<Authorization.Access>({ _tag: "Tokens", tokens: named })

const told: Array<AuditEntry> = []
const audit = Layer.succeed(Audit, { record: (entry) => void told.push(entry) })

const allowed: Readonly<Record<AdminRole, ReadonlyArray<AdminRole>>> = {
  viewer: ["viewer"],
  operator: ["viewer", "operator"],
  publisher: ["publisher"],
  owner: adminRoles,
}

const matrix = adminRoles.flatMap((role) => endpoints.map((endpoint) => ({ role, endpoint })))

const gateway = (admin: Option.Option<Authorization.Access>) => Gateway.layerWith({ host: "127.0.0.1", port: 0, admin })

layer(gateway(tokens).pipe(Layer.provideMerge(MemoryParts.layer), Layer.provide(audit)), { excludeTestServices: true })(
  "the admin API with a token for each role",
  (it) => {
    it.effect("tells the audit who did what, what came of it and what was refused, and no token", () =>
      Effect.gen(function* () {
        told.length = 0
        const kick = endpoints.find(({ name }) => name === "kick")!
        yield* ask(kick, tokenOf("operator"))
        yield* ask(kick, tokenOf("viewer"))
        yield* ask(kick, "wrong-0123456789abcdef")
        assert.deepStrictEqual(
          told.map(({ action, detail, outcome, subject }) => [action, outcome, subject, detail]),
          [
            ["login", "OK", "a-operator", undefined],
            ["admin", "NOT_FOUND", "a-operator", 'kick {"clientId":"nobody"}'],
            ["login", "OK", "a-viewer", undefined],
            ["refused", "FORBIDDEN", "a-viewer", "admin:operator"],
            ["refused", "UNAUTHORIZED", undefined, undefined],
          ],
        )
        for (const entry of told) assert.deepStrictEqual([entry.address, entry.transport], ["127.0.0.1", "admin"])
        assert.notInclude(JSON.stringify(told), "0123456789abcdef")
      }),
    )

    it.effect("lets each role do what is its own, and tells any other which capability is missing", () =>
      Effect.gen(function* () {
        for (const { endpoint, role } of matrix) {
          const what = `${endpoint.name} as ${role}`
          const { capability, code, status } = yield* ask(endpoint, tokenOf(role))
          if (allowed[role].includes(endpoint.role)) assert.notInclude([401, 403, 429], status, what)
          else {
            assert.deepStrictEqual([status, code, capability], [403, "FORBIDDEN", `admin:${endpoint.role}`], what)
          }
        }
      }),
    )

    it.effect("asks whoever has no token for one, and lets nothing happen", () =>
      Effect.gen(function* () {
        for (const endpoint of endpoints) {
          const { code, headers, status } = yield* ask(endpoint, undefined)
          assert.deepStrictEqual([status, code], [401, "UNAUTHORIZED"], endpoint.name)
          assert.strictEqual(headers["www-authenticate"], "Bearer")
        }
      }),
    )
  },
)

layer(gateway(tokens).pipe(Layer.provideMerge(MemoryParts.layer), Layer.provide(audit)), { excludeTestServices: true })(
  "the admin API with somebody who guesses",
  (it) => {
    it.effect("looks at no token for a while, right or wrong, but at one that was right from there before", () =>
      Effect.gen(function* () {
        const status = endpoints.find(({ name }) => name === "status")!
        assert.strictEqual((yield* ask(status, tokenOf("owner"))).status, 200)
        for (let i = 0; i <= adminLimits.login_failures; i++) {
          assert.strictEqual((yield* ask(status, `wrong-0123456789abcde${i}`)).status, 401)
        }
        told.length = 0
        for (const token of ["wrong-0123456789abcdef", tokenOf("viewer")]) {
          const { code, headers, status: refused } = yield* ask(status, token)
          assert.deepStrictEqual([refused, code], [429, "TOO_MANY_LOGINS"])
          assert.strictEqual(headers["retry-after"], "1")
        }
        assert.deepStrictEqual(
          told.map(({ outcome }) => outcome),
          ["TOO_MANY_LOGINS", "TOO_MANY_LOGINS"],
        )
        assert.strictEqual((yield* ask(status, tokenOf("owner"))).status, 200)
        assert.strictEqual((yield* ask(status, undefined)).status, 401)
      }),
    )
  },
)

const people = new Map<string, Locks.Said>([
  ["viewing", { subject: "vera", capabilities: ["admin:viewer"] }],
  ["operating", { subject: "otto", capabilities: ["admin:operator"] }],
  ["owning", { subject: "olga", capabilities: ["admin:owner"] }],
  ["sending", { subject: "sam" }],
])

/** At a loopback address: what comes from this machine is trusted without locks alone. */
const locked = gateway(Option.some({ _tag: "Loopback" })).pipe(
  Layer.provideMerge(MemoryParts.layer),
  Layer.provide(Locks.layer(people)),
)

layer(locked, { excludeTestServices: true })("the admin API where there are locks", (it) => {
  it.effect("takes roles from the capabilities of the token", () =>
    Effect.gen(function* () {
      const status = endpoints.find(({ name }) => name === "status")!
      const drain = endpoints.find(({ name }) => name === "drain")!
      for (const [token, reads, acts] of [
        ["viewing", 200, 403],
        ["operating", 200, 404],
        ["owning", 200, 404],
        ["sending", 403, 403],
        ["guessed", 401, 401],
      ] as const) {
        assert.strictEqual((yield* ask(status, token)).status, reads, token)
        assert.strictEqual((yield* ask(drain, token)).status, acts, token)
      }
    }),
  )

  it.effect("ends what is watched when the token does", () =>
    Effect.gen(function* () {
      const expires_s = Math.floor((yield* Clock.currentTimeMillis) / 1000) + 1
      people.set("ending", { subject: "vera", capabilities: ["admin:viewer"], expires_s })
      const watched = yield* HttpServer.addressFormattedWith((address) =>
        Effect.promise(async () => {
          const headers = { authorization: "Bearer ending" }
          const response = await fetch(`${address}/v1/admin/pictures`, { headers })
          return { status: response.status, text: await response.text() }
        }),
      )
      assert.strictEqual(watched.status, 200)
      assert.include(watched.text, "incarnation")
      const ended = yield* Clock.currentTimeMillis
      assert.isAtLeast(ended, expires_s * 1000)
    }),
  )

  it.effect("lets nobody in for being at this machine, and says that a token is missing", () =>
    Effect.gen(function* () {
      for (const endpoint of endpoints) {
        const { code, status } = yield* ask(endpoint, undefined)
        assert.deepStrictEqual([status, code], [401, "TOKEN_MISSING"], endpoint.name)
      }
    }),
  )
})

const configured = (env: Readonly<Record<string, string>>) =>
  Effect.result(Effect.provide(Authorization.config, ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))

describe("the tokens of the settings", () => {
  it.effect("are the owner's, and others by their names, two of which may be valid at once", () =>
    Effect.gen(function* () {
      const read = yield* configured({
        NIMBUS_ADMIN_TOKEN: "0123456789abcdef",
        NIMBUS_ADMIN_TOKENS: "old=viewer:aaaaaaaaaaaaaaaa, new=viewer:bbbbbbbbbbbb=:bb",
      })
      assert.strictEqual(read._tag, "Success")
      if (read._tag !== "Success") return
      const tokens = Authorization.tokensOf(read.success)
      assert.deepStrictEqual(
        tokens.map(({ name, role, token }) => [name, role, Redacted.value(token)]),
        [
          ["NIMBUS_ADMIN_TOKEN", "owner", "0123456789abcdef"],
          ["old", "viewer", "aaaaaaaaaaaaaaaa"],
          ["new", "viewer", "bbbbbbbbbbbb=:bb"],
        ],
      )
      const find = Authorization.tokenIn(tokens)
      assert.strictEqual(find("bbbbbbbbbbbb=:bb")?.name, "new")
      for (const wrong of ["", "a", "bbbbbbbbbbbb=:b", "bbbbbbbbbbbb=:bbb"]) assert.isUndefined(find(wrong), wrong)
    }),
  )

  it.effect("are none where none is set", () =>
    Effect.gen(function* () {
      const read = yield* configured({})
      assert.isTrue(read._tag === "Success" && Option.isNone(read.success))
    }),
  )

  it.effect.each([
    "viewer:aaaaaaaaaaaaaaaa",
    "a=king:aaaaaaaaaaaaaaaa",
    "a=viewer:short",
    "A=viewer:aaaaaaaaaaaaaaaa",
    "a=viewer:aaaaaaaaaaaaaaaa,a=owner:bbbbbbbbbbbbbbbb",
    "a=viewer:aaaaaaaaaaaaaaaa,",
    "a=viewer:aaaaaaaaaaaaaaaa,b=owner:aaaaaaaaaaaaaaaa",
  ])("are refused, and not told, where they are wrong: %s", (list) =>
    Effect.gen(function* () {
      const read = yield* configured({ NIMBUS_ADMIN_TOKENS: list })
      assert.strictEqual(read._tag, "Failure")
      assert.notInclude(String(read._tag === "Failure" && read.failure), "aaaa")
    }),
  )
})
