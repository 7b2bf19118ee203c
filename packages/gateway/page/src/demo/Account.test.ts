import { assert, describe, it } from "@effect/vitest"
import { Account } from "./Account.ts"

const noted = (...numbers: ReadonlyArray<number>) => {
  const account = new Account()
  for (const number of numbers) account.note("sq", number)
  const { missing, received, repeated } = account
  return { missing, received, repeated }
}

describe("Account", () => {
  it("finds nothing wrong with numbers in order", () => {
    assert.deepStrictEqual(noted(1, 2, 3), { received: 3, repeated: 0, missing: 0 })
  })

  it("counts what was left out, and what came again", () => {
    assert.deepStrictEqual(noted(1, 4, 5), { received: 3, repeated: 0, missing: 2 })
    assert.deepStrictEqual(noted(1, 2, 2, 1), { received: 4, repeated: 2, missing: 0 })
    assert.deepStrictEqual(noted(2), { received: 1, repeated: 0, missing: 1 })
  })

  it("counts what has no number, and misses nothing for it", () => {
    const account = new Account()
    account.note("sq", 1)
    account.note("sq", undefined)
    account.note("hello", 7)
    account.note("sq", 2)
    assert.deepStrictEqual([account.missing, account.repeated, account.received], [0, 0, 4])
  })

  it("counts each name by itself", () => {
    const account = new Account()
    account.note("sq", 1)
    account.note("news", 1)
    account.note("sq", 2)
    assert.deepStrictEqual([account.missing, account.repeated, account.received], [0, 0, 3])
  })
})
