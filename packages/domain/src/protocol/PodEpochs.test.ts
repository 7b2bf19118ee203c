import { assert, describe, it } from "@effect/vitest"
import { Epoch } from "./Ids.ts"
import { PodEpochs } from "./PodEpochs.ts"

const epoch = (n: number): Epoch => Epoch.make(n)

describe("PodEpochs", () => {
  it("asks for the clock, and for more than the last where the clock stands or goes back", () => {
    const epochs = new PodEpochs()
    assert.deepStrictEqual(
      [100, 100, 90, 200].map((now_ms) => epochs.ask(now_ms)),
      [100, 101, 102, 200].map(epoch),
    )
  })

  it("asks for more than the registry has chosen", () => {
    const epochs = new PodEpochs()
    assert.isTrue(epochs.take(epochs.ask(100), epoch(500)))
    assert.strictEqual(epochs.ask(100), 501)
  })

  it("takes what it asked for, however late the answer is", () => {
    const epochs = new PodEpochs()
    const first = epochs.ask(100)
    assert.isTrue(epochs.take(epochs.ask(100), epoch(500)))
    assert.isTrue(epochs.take(first, first))
  })

  it("takes an epoch of the registry's choice once, also of two connects that were under way together", () => {
    const epochs = new PodEpochs()
    const [first, second] = [epochs.ask(100), epochs.ask(100)]
    assert.isTrue(epochs.take(first, epoch(500)))
    assert.isFalse(epochs.take(second, epoch(500)))
    assert.isTrue(epochs.take(epochs.ask(100), epoch(501)))
  })

  it("refuses a choice of the registry that another connect was asking for meanwhile", () => {
    const epochs = new PodEpochs()
    const first = epochs.ask(100)
    const second = epochs.ask(500)
    assert.isFalse(epochs.take(first, epoch(500)))
    assert.isTrue(epochs.take(second, second))
  })
})
