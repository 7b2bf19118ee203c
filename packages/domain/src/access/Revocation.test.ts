import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { revocationLimits } from "../Limits.ts"
import { RevokedSet, type StoredRevocation } from "./Revocation.ts"

const name = Schema.Literals(["a", "b"])
const moment = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
const about = { issuer: name, subject: name, at_ms: moment }
/** Few names and moments, so that orders meet. */
const Order = Schema.Union([
  Schema.TaggedStruct("Token", { issuer: name, tokenId: name, expires_s: moment, at_ms: moment }),
  Schema.TaggedStruct("Subject", { ...about, issued_s: moment }),
  Schema.TaggedStruct("Block", about),
  Schema.TaggedStruct("Unblock", about),
])

const inForce = (orders: ReadonlyArray<StoredRevocation>) => {
  const set = new RevokedSet(revocationLimits)
  for (const order of orders) set.merge(order)
  // Of orders that say the same the moment of either may be there.
  return set
    .list()
    .map(({ at_ms, ...order }) => JSON.stringify(order._tag === "Block" ? { ...order, at_ms } : order))
    .toSorted()
}

describe("RevokedSet", () => {
  it.effect.prop(
    "is the same for every order in which records come, and for repeats",
    { orders: Arbitrary.array(Arbitrary.schema(Order)), seed: Arbitrary.schema(Schema.Int) },
    ({ orders, seed }) =>
      Effect.sync(() => {
        const shuffled = orders.toSorted((one, other) => mixed(one, seed) - mixed(other, seed))
        assert.deepStrictEqual(inForce(shuffled), inForce(orders))
        assert.deepStrictEqual(inForce([...orders, ...shuffled]), inForce(orders))
      }),
    { arbitrary: { runs: 500 } },
  )

  it.effect.prop(
    "is what the last record of each key says, after what is due was written again",
    { orders: Arbitrary.array(Arbitrary.schema(Order)) },
    ({ orders }) =>
      Effect.sync(() => {
        const set = new RevokedSet(revocationLimits)
        for (const order of orders) set.merge(order)
        const all = [...orders, ...set.due(1_000)]
        const last = new Map(all.map((order) => [keyOf(order), order]))
        assert.deepStrictEqual(inForce([...last.values()]), inForce(orders))
      }),
    { arbitrary: { runs: 500 } },
  )

  it("forgets an order about tokens once none of them could count, and a block never", () => {
    const set = new RevokedSet(revocationLimits)
    const about = { issuer: "i", subject: "s", at_ms: 0 }
    set.merge({ _tag: "Token", issuer: "i", tokenId: "t", expires_s: 600, at_ms: 0 })
    set.merge({ _tag: "Subject", ...about, issued_s: 0 })
    set.merge({ _tag: "Block", ...about })
    const left = (now_s: number) => {
      set.forget(now_s * 1000)
      return set.list().map(({ _tag }) => _tag)
    }
    // Clocks may differ by a minute.
    assert.deepStrictEqual(left(660), ["Token", "Subject", "Block"])
    assert.deepStrictEqual(left(661), ["Subject", "Block"])
    assert.deepStrictEqual(left(revocationLimits.revocation_kept_s), ["Subject", "Block"])
    assert.deepStrictEqual(left(10 * revocationLimits.revocation_kept_s), ["Block"])
  })

  it("counts the bytes of what it has, and gives them back", () => {
    const set = new RevokedSet(revocationLimits)
    const order = { _tag: "Token", issuer: "i", tokenId: "t", expires_s: 1, at_ms: 0 } as const
    set.merge(order)
    const { order_bytes } = set.size
    set.merge({ ...order, expires_s: 2 })
    assert.deepStrictEqual(set.size, { orders: 1, order_bytes })
    set.forget(200_000)
    assert.deepStrictEqual(set.size, { orders: 0, order_bytes: 0 })
  })
})

const keyOf = (order: StoredRevocation): string =>
  order._tag === "Token"
    ? `token ${order.issuer} ${order.tokenId}`
    : `${order._tag === "Subject"} ${order.issuer} ${order.subject}`

/** Another order for each seed. */
const mixed = (order: StoredRevocation, seed: number): number => {
  let hash = seed
  for (const character of JSON.stringify(order)) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0
  return hash
}
