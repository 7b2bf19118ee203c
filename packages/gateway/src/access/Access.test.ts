import { assert, describe, it } from "@effect/vitest"
import { caller_bytes } from "@nimbus/domain/access"
import { type CloseReason, ClientId, Cursor, start } from "@nimbus/domain/protocol"
import { type Attempt, Audit, type AuditEntry, Revocations, Tickets, TicketsMemory } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Locks from "../testing/Locks.ts"
import { Access, type Asked, type From } from "./Access.ts"

const tokens = new Map<string, Locks.Worth>([
  ["ada", { subject: "ada", tokenId: "t1" }],
  ["eve", { subject: "eve" }],
  ["long", { subject: "ada", claims: { name: "x".repeat(caller_bytes) } }],
])
const entries: Array<AuditEntry> = []
const attempts: Array<Attempt | undefined> = []
const audit = Layer.succeed(Audit, Audit.of({ record: (entry) => void entries.push(entry) }))
const parts = Access.layer.pipe(
  Layer.provide(Locks.layer(tokens, attempts)),
  Layer.provideMerge(Layer.mergeAll(TicketsMemory.layerMemory(), Revocations.layerMemory(), audit)),
)

const from: From = { address: "192.0.2.1", transport: "test" }
const asked: Asked = { clientId: undefined, after: start, autoAck: false, reads: true, journey: false }

const scenario = (
  name: string,
  test: (access: Access["Service"]) => Effect.Effect<void, unknown, Layer.Success<typeof parts>>,
) =>
  it.effect(name, () => {
    entries.length = 0
    attempts.length = 0
    return Effect.flatMap(Access, test).pipe(Effect.provide(parts))
  })

const codeOf = <A, E extends { readonly code: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ code }) => code)

/** What a session is told. */
const makeHeld = () => {
  const told: Array<string> = []
  const held = {
    expiring: () => void told.push("expiring"),
    ended: ({ reason }: CloseReason) => void told.push(reason),
  }
  return { held, told }
}

describe("Access", () => {
  scenario("lets in as oneself where no client is named, and tells of it without the token", (access) =>
    Effect.gen(function* () {
      const { clientId, principal } = yield* access.connect(asked, { token: "ada" }, from)
      assert.deepStrictEqual([clientId, principal.subject], [ClientId.make("ada"), "ada"])
      assert.deepStrictEqual(entries, [
        {
          action: "login",
          outcome: "OK",
          detail: "connect:ada",
          issuer: Locks.issuer,
          subject: "ada",
          clientId: ClientId.make("ada"),
          ...from,
        },
      ])
    }),
  )

  scenario(
    "tells whoever decides as which client somebody wants to connect, from where, and how, with a new token too",
    (access) =>
      Effect.gen(function* () {
        const clientId = ClientId.make("ada")
        const { principal } = yield* access.connect({ ...asked, clientId }, { token: "ada" }, from)
        yield* access.connect(asked, { token: "ada" }, from)
        yield* access.authenticate({ token: "ada" }, from)
        const standing = access.stand({ clientId, principal, autoAck: false, reads: true }, from)
        yield* standing.renew({ token: "ada" })
        const unnamed = { ...from, wants: undefined }
        assert.deepStrictEqual(attempts, [{ ...from, wants: clientId }, unnamed, unnamed, { ...from, wants: clientId }])
      }),
  )

  scenario("does not let in whose subject and claims no record could carry", (access) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* codeOf(access.authenticate({ token: "long" }, from)), "TOKEN_INVALID")
    }),
  )

  scenario(
    "opens no session on a token that has ended, and goes on with none, though it counts for a request",
    (access) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        for (const [token, codes] of [
          ["just", ["TOKEN_EXPIRED", "TOKEN_EXPIRED"]],
          ["not yet", []],
        ] as const) {
          tokens.set(token, { subject: "ada", expires_s: token === "just" ? 1_000 : 1_001 })
          assert.strictEqual((yield* access.authenticate({ token }, from)).subject, "ada")
          const { principal } = yield* access.connect(asked, { token: "ada" }, from)
          const lease = access.hold(principal, makeHeld().held)
          const failed: Array<string> = []
          const fails = (error: { readonly code: string }) => Effect.sync(() => void failed.push(error.code))
          yield* Effect.catch(access.connect(asked, { token }, from), fails)
          yield* Effect.catch(access.renew(lease, { token }, from, []), fails)
          assert.deepStrictEqual(failed, [...codes])
        }
      }),
  )

  scenario("takes a ticket for its token, once, and prefers a token that is there", (access) =>
    Effect.gen(function* () {
      const ticket = yield* (yield* Tickets).issue("ada")
      assert.strictEqual((yield* access.authenticate({ ticket, token: "eve" }, from)).subject, "eve")
      assert.strictEqual((yield* access.authenticate({ ticket }, from)).subject, "ada")
      assert.strictEqual(yield* codeOf(access.authenticate({ ticket }, from)), "TOKEN_INVALID")
    }),
  )

  scenario("asks for `ack` where a client comes with an `after`, which is one", (access) =>
    Effect.gen(function* () {
      tokens.set("reader", { subject: "ada", capabilities: ["connect:{sub}", "read"] })
      yield* access.connect(asked, { token: "reader" }, from)
      const refused = access.connect({ ...asked, after: Cursor.make(5) }, { token: "reader" }, from)
      assert.strictEqual(yield* codeOf(refused), "FORBIDDEN")
      assert.deepInclude(entries.at(-1), { action: "refused", outcome: "FORBIDDEN", detail: "ack" })
    }),
  )

  scenario("ends at once a session whose token was revoked while it was opened", (access) =>
    Effect.gen(function* () {
      const { clientId, principal } = yield* access.connect(asked, { token: "ada" }, from)
      const standing = access.stand({ clientId, principal, autoAck: false, reads: true }, from)
      yield* (yield* Revocations).order({ _tag: "Block", issuer: Locks.issuer, subject: "ada" })
      const { held, told } = makeHeld()
      standing.hold(held)
      assert.deepStrictEqual(told, ["TOKEN_REVOKED"])
    }),
  )

  scenario("ends at once, and once, a session whose next token was revoked while it was looked at", (access) =>
    Effect.gen(function* () {
      const { principal } = yield* access.connect(asked, { token: "ada" }, from)
      const { held, told } = makeHeld()
      const lease = access.hold(principal, held)
      const next = Locks.principalOf({ subject: "ada", tokenId: "t9" })
      const order = { _tag: "Token", issuer: Locks.issuer, tokenId: "t9", expires_s: 1_000_000 } as const
      yield* (yield* Revocations).order(order)
      assert.deepStrictEqual(told, [])
      lease.renew(next)
      lease.renew(next)
      assert.deepStrictEqual(told, ["TOKEN_REVOKED"])
    }),
  )

  scenario("has an owner for each subject, from which nobody can tell who that is", (access) =>
    Effect.gen(function* () {
      const ownerOf = (token: string) =>
        Effect.map(
          access.connect(asked, { token }, from),
          (admitted) => access.stand({ ...admitted, autoAck: false, reads: true }, from).owner,
        )
      tokens.set("again", { subject: "ada", tokenId: "t2" })
      const [ada, again, eve] = yield* Effect.forEach(["ada", "again", "eve"], ownerOf)
      assert.strictEqual(ada, again)
      assert.notStrictEqual(ada, eve)
      assert.notInclude(ada ?? "", "ada")
    }),
  )
})

describe("Access without locks", () => {
  it.effect("lets everybody in as the client that it names, and all stand on the same", () =>
    Effect.gen(function* () {
      const access = yield* Access
      const clientId = ClientId.make("c1")
      const admitted = yield* access.connect({ ...asked, clientId, journey: true }, {}, from)
      const standing = access.stand({ ...admitted, autoAck: true, reads: true }, from)
      assert.isTrue(access.isOpen)
      assert.isUndefined(standing.owner)
      assert.isUndefined(standing.headers)
      assert.isTrue(standing.grants.mayOf("send", "anything"))
    }).pipe(Effect.provide(Access.layer)),
  )
})
