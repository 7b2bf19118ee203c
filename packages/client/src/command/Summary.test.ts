import { assert, describe, it } from "@effect/vitest"
import { display } from "./Display.ts"
import { bar, isComplete, percentile, type Summary, table } from "./Summary.ts"

const summary: Summary = {
  sent: 3,
  accepted: 3,
  refused: 0,
  received: 3,
  failed: 0,
  missing: 0,
  repeatsDropped: 1,
  repeated: 0,
  outOfOrder: 0,
  latencies_ms: [3, 1, 200],
}

describe("Summary", () => {
  it("takes percentiles by nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
    assert.strictEqual(percentile(hundred, 50), 50)
    assert.strictEqual(percentile(hundred, 99), 99)
    assert.strictEqual(percentile([7], 99), 7)
    assert.strictEqual(percentile([], 50), undefined)
  })

  it("is complete only with one result for each event, in order", () => {
    assert.isTrue(isComplete(summary))
    for (const wrong of [{ missing: 1 }, { repeated: 1 }, { outOfOrder: 1 }]) {
      assert.isFalse(isComplete({ ...summary, ...wrong }))
    }
  })

  it("is a table with a row for each count", () => {
    const lines = table("c1", summary).split("\n")
    assert.strictEqual(lines[0], "client c1")
    assert.deepStrictEqual(
      lines.filter((line) => /repeats dropped|p50|p99/.test(line)),
      ["  repeats dropped        1", "  p50               3.0 ms", "  p99               200 ms"],
    )
  })

  it("has a bar that fills", () => {
    assert.strictEqual(bar(0, 2), `[${"-".repeat(30)}] 0/2`)
    assert.strictEqual(bar(1, 2), `[${"#".repeat(15)}${"-".repeat(15)}] 1/2`)
    assert.strictEqual(bar(2, 2), `[${"#".repeat(30)}] 2/2`)
  })
})

const output = (isTTY: boolean) => {
  const written: Array<string> = []
  return { isTTY, written, write: (text: string) => written.push(text) }
}

describe("Display", () => {
  it("writes nothing but lines where there is no terminal", () => {
    const [out, err] = [output(false), output(false)]
    const shown = display(out, err)
    shown.progress(1, 2)
    shown.line("a")
    shown.end()
    assert.deepStrictEqual(out.written, ["a\n"])
    assert.deepStrictEqual(err.written, [])
  })

  it("keeps the bar below the lines on a terminal, and takes it away in the end", () => {
    const terminal = output(true)
    const shown = display(terminal, terminal)
    shown.progress(1, 2)
    shown.line("a")
    shown.end()
    const clear = "\r\u001b[K"
    assert.deepStrictEqual(terminal.written, [`${clear}${bar(1, 2)}`, clear, "a\n", `${clear}${bar(1, 2)}`, clear])
  })
})
