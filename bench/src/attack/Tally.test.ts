import { assert, describe, it } from "@effect/vitest"
import { Tally } from "./Tally.ts"

describe("the tally of an honest client", () => {
  it("tells how long the events of a window took, however late their results come", () => {
    const tally = new Tally()
    tally.send(0)
    tally.show(1, 900)
    tally.openWindow()
    tally.send(1_000)
    tally.send(1_050)
    tally.closeWindow()
    tally.send(1_100)
    tally.show(2, 1_010)
    assert.isFalse(tally.isSettled)
    tally.show(3, 1_450)
    assert.isTrue(tally.isSettled)
    assert.deepStrictEqual(tally.window(), { sent: 2, missing: 0, p50_ms: 400, p99_ms: 400, max_ms: 400 })
  })

  it("counts what is not shown as missing, and no time for it", () => {
    const tally = new Tally()
    tally.openWindow()
    tally.send(0)
    tally.closeWindow()
    const none = { p50_ms: undefined, p99_ms: undefined, max_ms: undefined }
    assert.deepStrictEqual(tally.window(), { sent: 1, missing: 1, ...none })
  })

  it("counts what is shown twice, and what was never sent, as repeated", () => {
    const tally = new Tally()
    tally.send(0)
    for (const shown of [1, 1, 2, 0, "1", undefined]) tally.show(shown, 5)
    assert.strictEqual(tally.repeated, 5)
  })

  it("counts what is shown behind a later one", () => {
    const tally = new Tally()
    for (const now_ms of [0, 1, 2]) tally.send(now_ms)
    for (const shown of [1, 3, 2]) tally.show(shown, 5)
    assert.strictEqual(tally.disordered, 1)
  })
})
