import { assert, describe, it } from "@effect/vitest"
import { type CloseReason, closeCodes, shouldReconnect } from "./CloseCodes.ts"

const known = Object.values<CloseReason>(closeCodes)

describe("CloseCodes", () => {
  it("a client comes back after the closes that say so, and after no other of ours", () => {
    for (const { code, reconnect } of known) assert.strictEqual(shouldReconnect(code), reconnect, String(code))
  })

  it("codes of our own say by their range whether to come back, those that are yet to be given too", () => {
    for (const { code, reconnect } of known) if (code >= 4000) assert.strictEqual(reconnect, code < 4500, String(code))
    assert.isTrue(shouldReconnect(4499))
    assert.isFalse(shouldReconnect(4999))
  })

  it("a client comes back after a close that is not ours", () => {
    for (const code of [1000, 1001, 1006, 1011, 1012, 3000]) assert.isTrue(shouldReconnect(code), String(code))
  })

  it("no code and no reason is given twice", () => {
    assert.strictEqual(new Set(known.map(({ code }) => code)).size, known.length)
    assert.strictEqual(new Set(known.map(({ reason }) => reason)).size, known.length)
  })
})
