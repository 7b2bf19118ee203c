import { assert, describe, it } from "@effect/vitest"
import { adminLimits } from "../Limits.ts"
import { Logins } from "./Logins.ts"

const { login_failures, login_forget_ms, login_longest_wait_ms, login_wait_ms } = adminLimits
const few = { ...adminLimits, login_addresses: 3, login_known: 2 }

/** So many wrong tokens, each as soon as it is looked at; the waits behind them. */
const guess = (logins: Logins, count: number, from_ms = 0) => {
  let now_ms = from_ms
  const waits: Array<number> = []
  for (let i = 0; i < count; i++) {
    now_ms += logins.wait_ms("guesser", `guess ${i}`, now_ms)
    waits.push(logins.failed("guesser", now_ms).wait_ms)
  }
  return { waits, now_ms }
}

describe("Logins", () => {
  it("let an address be wrong some times, and then wait twice as long for each further time, up to a bound", () => {
    const { waits } = guess(new Logins(adminLimits), login_failures + 8)
    assert.deepStrictEqual(
      waits.slice(0, login_failures),
      Array.from({ length: login_failures }, () => 0),
    )
    assert.deepStrictEqual(
      waits.slice(login_failures),
      [1, 2, 4, 8, 16, 32, 64, 128].map((times) => Math.min(times * login_wait_ms, login_longest_wait_ms)),
    )
  })

  it("look at no token of an address that waits, right or wrong, and at those of others", () => {
    const logins = new Logins(adminLimits)
    const { now_ms } = guess(logins, login_failures + 1)
    assert.strictEqual(logins.wait_ms("guesser", "right", now_ms), login_wait_ms)
    assert.strictEqual(logins.wait_ms("guesser", "right", now_ms + login_wait_ms - 1), 1)
    assert.strictEqual(logins.wait_ms("guesser", "right", now_ms + login_wait_ms), 0)
    assert.strictEqual(logins.wait_ms("other", "right", now_ms), 0)
  })

  it("let in a token that was right from this address before, and from no other", () => {
    const logins = new Logins(adminLimits)
    assert.isTrue(logins.succeeded("guesser", "right", 0))
    assert.isFalse(logins.succeeded("guesser", "right", 1))
    logins.succeeded("other", "theirs", 0)
    const { now_ms } = guess(logins, login_failures + 1, 2)
    assert.strictEqual(logins.wait_ms("guesser", "right", now_ms), 0)
    assert.isAbove(logins.wait_ms("guesser", "theirs", now_ms), 0)
  })

  it("take no failure back for a token that was right", () => {
    const logins = new Logins(adminLimits)
    const { now_ms } = guess(logins, login_failures)
    logins.succeeded("guesser", "own", now_ms)
    assert.strictEqual(logins.failed("guesser", now_ms).wait_ms, login_wait_ms)
  })

  it("forget an address that has been quiet, a token that has not been shown, and a clock that has gone back", () => {
    const logins = new Logins(adminLimits)
    logins.succeeded("guesser", "right", 0)
    const { now_ms } = guess(logins, login_failures + 3)
    assert.strictEqual(logins.failed("guesser", now_ms + login_forget_ms).count, 1)
    assert.isTrue(logins.succeeded("guesser", "right", login_forget_ms))
    const { now_ms: late_ms } = guess(logins, login_failures + 3, 10 * login_forget_ms)
    assert.strictEqual(logins.wait_ms("guesser", "another", late_ms - 60_000), 0)
  })

  it("remember no more addresses and tokens than they may, the latest ones", () => {
    const logins = new Logins(few)
    for (let i = 0; i < 100; i++) {
      logins.failed(`address ${i}`, i)
      logins.succeeded("here", `token ${i}`, i)
    }
    assert.deepStrictEqual(logins.sizes, { addresses: 3, known: 2 })
    assert.strictEqual(logins.failed("address 99", 100).count, 2)
    assert.strictEqual(logins.failed("address 0", 100).count, 1)
    assert.isFalse(logins.succeeded("here", "token 99", 100))
  })
})
