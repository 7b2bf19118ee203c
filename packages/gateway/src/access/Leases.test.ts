import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { issuer, principalOf, type Said } from "../testing/Locks.ts"
import { Leases, notice_s } from "./Leases.ts"

const start_s = 1_000

const stage = (...said: ReadonlyArray<Partial<Said>>) => {
  const leases = new Leases()
  const seen: Array<string> = []
  leases.tick(start_s)
  const held = said.map((said, i) =>
    leases.hold(principalOf({ subject: "alice", ...said }), {
      expiring: (expires_s) => seen.push(`${i} expiring ${expires_s}`),
      ended: ({ reason }) => seen.push(`${i} ${reason}`),
    }),
  )
  const until = (to_s: number, from_s = start_s + 1) => {
    for (let now_s = from_s; now_s <= to_s; now_s++) leases.tick(now_s)
  }
  return { leases, seen, held, until }
}

const Op = Schema.Struct({
  after_s: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 })),
  lasts_s: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: -5, maximum: 300 }))),
})

describe("Leases", () => {
  it("tells a session a minute before its token ends, and ends it then", () => {
    const { leases, seen, until } = stage({ expires_s: 1_100 })
    until(1_039)
    assert.deepStrictEqual(seen, [])
    until(1_040, 1_040)
    assert.deepStrictEqual(seen, ["0 expiring 1100"])
    until(1_099, 1_041)
    assert.lengthOf(seen, 1)
    until(1_200, 1_100)
    assert.deepStrictEqual(seen, ["0 expiring 1100", "0 TOKEN_EXPIRED"])
    assert.strictEqual(leases.size, 0)
  })

  it("lets a session go on with a new token, and tells it again before that one ends", () => {
    const { held, seen, until } = stage({ expires_s: 1_100 })
    until(1_050)
    held[0]?.renew(principalOf({ subject: "alice", expires_s: 1_300 }))
    until(1_299, 1_051)
    assert.deepStrictEqual(seen, ["0 expiring 1100", "0 expiring 1300"])
  })

  it("never ends a session whose token does not end, or that was released", () => {
    const { held, seen, until } = stage({}, { expires_s: 1_010 })
    held[1]?.release()
    until(2_000)
    assert.deepStrictEqual(seen, [])
  })

  it("remembers no second in which nothing is due any more", () => {
    const { held, leases } = stage(...Array.from({ length: 100 }, (_, i) => ({ expires_s: 100_000 + i })))
    assert.strictEqual(leases.seconds, 100)
    for (const lease of held) lease.renew(principalOf({ subject: "alice", expires_s: 200_000 }))
    assert.strictEqual(leases.seconds, 1)
    for (const lease of held) lease.release()
    assert.strictEqual(leases.seconds, 0)
  })

  it("tells at once that less than a minute is left, and catches up after a clock that stood still", () => {
    const { leases, seen } = stage({ expires_s: 1_010 }, { expires_s: 5_000 })
    leases.tick(1_001)
    assert.deepStrictEqual(seen, ["0 expiring 1010"])
    leases.tick(100_000)
    leases.tick(100_001)
    assert.includeMembers(seen, ["0 TOKEN_EXPIRED", "1 TOKEN_EXPIRED"])
  })

  it("ends those that an order is about, and no others", () => {
    const { leases, seen } = stage(
      { subject: "alice", tokenId: "a", issued_s: 10 },
      { subject: "alice", tokenId: "b", issued_s: 20 },
      { subject: "bob", tokenId: "c", issued_s: 10 },
    )
    leases.revoke({ _tag: "Token", issuer: "https://other.test", tokenId: "c", expires_s: 9_999 })
    leases.revoke({ _tag: "Subject", issuer, subject: "alice", issued_s: 10 })
    assert.deepStrictEqual(seen, ["0 TOKEN_REVOKED"])
    leases.revoke({ _tag: "Token", issuer, tokenId: "b", expires_s: 9_999 })
    assert.deepStrictEqual(seen, ["0 TOKEN_REVOKED", "1 TOKEN_REVOKED"])
    leases.revoke({ _tag: "Unblock", issuer, subject: "bob" })
    assert.lengthOf(seen, 2)
    leases.revoke({ _tag: "Block", issuer, subject: "bob" })
    assert.deepStrictEqual(seen.at(-1), "2 TOKEN_REVOKED")
  })

  it("ends sessions whose key is not known any more", () => {
    const { leases, seen } = stage({ subject: "alice" }, { subject: "bob" })
    leases.check(({ subject }) => subject === "bob")
    assert.deepStrictEqual(seen, ["0 TOKEN_REVOKED"])
  })

  it.prop("end no session before its time, and each within a look after it", { ops: Schema.Array(Op) }, ({ ops }) => {
    const leases = new Leases()
    const ends = new Map<number, number | undefined>()
    const told = new Set<number>()
    let now_s = start_s
    leases.tick(now_s)
    const pass = (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        leases.tick(++now_s)
        for (const [id, end_s] of ends) assert.isTrue(end_s === undefined || now_s < end_s, `${id} should have ended`)
      }
    }
    for (const [id, { after_s, lasts_s }] of ops.entries()) {
      const expires_s = lasts_s === undefined ? undefined : now_s + lasts_s
      const said = { subject: "alice", ...(expires_s !== undefined && { expires_s }) }
      ends.set(id, expires_s === undefined ? undefined : Math.max(expires_s, now_s + 1) + 1)
      leases.hold(principalOf(said), {
        expiring: (at_s) => {
          told.add(id)
          assert.isAtLeast(now_s, at_s - notice_s)
        },
        ended: ({ reason }) => {
          assert.strictEqual(reason, "TOKEN_EXPIRED")
          assert.isAtLeast(now_s, expires_s ?? Number.POSITIVE_INFINITY)
          assert.isTrue(ends.delete(id))
        },
      })
      pass(after_s)
    }
    pass(400)
    for (const [id, { lasts_s }] of ops.entries()) assert.strictEqual(ends.has(id), lasts_s === undefined)
    for (const id of told) assert.isDefined(ops[id]?.lasts_s)
  })
})
