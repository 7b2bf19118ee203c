import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { AddressBook } from "./AddressBook.ts"

const limits = {
  connections: 3,
  connections_retry_ms: 1_000,
  openings_in_a_row: 5,
  openings_per_second: 10,
  failures_in_a_row: 4,
  failures_per_second: 2,
  addresses: 20,
}

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const steps = Arbitrary.array(
  Arbitrary.schema(
    Schema.Struct({
      gap_ms: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
      act: Schema.Literals(["connect", "close", "open", "fail", "ask"]),
    }),
  ),
)

describe("AddressBook", () => {
  it.effect.prop("over any stretch stays within the bounds of each address", { steps }, ({ steps }) =>
    Effect.sync(() => {
      const book = new AddressBook(limits)
      let [now_ms, connected, opened] = [0, 0, 0]
      for (const { act, gap_ms } of steps) {
        now_ms += gap_ms
        if (act === "connect" && book.connect("a", now_ms) === undefined) {
          connected++
          opened++
        }
        if (act === "open" && book.open("a", now_ms) === undefined) opened++
        if (act === "close" && connected > 0) {
          connected--
          book.close("a")
        }
        if (act === "fail") book.fail("a", now_ms)
        assert.isAtMost(connected, limits.connections)
        assert.isAtMost(opened, limits.openings_in_a_row + (now_ms * limits.openings_per_second) / 1000)
      }
    }),
  )

  it.effect.prop(
    "serves whoever keeps the pace, whatever others do",
    { others: Arbitrary.array(between(0, 200)) },
    ({ others }) =>
      Effect.sync(() => {
        const book = new AddressBook(limits)
        others.forEach((gap_ms, i) => {
          const now_ms = i * 100
          for (let k = 0; k < gap_ms % 10; k++) {
            book.connect("greedy", now_ms)
            book.fail("greedy", now_ms)
          }
          assert.isUndefined(book.connect("modest", now_ms))
          book.close("modest")
          if (i % 5 === 0) book.fail("modest", now_ms)
          assert.isUndefined(book.ask("modest", now_ms))
        })
      }),
  )

  it.effect.prop(
    "serves whoever was refused as soon as it was said",
    { failures: between(4, 100), gap_ms: between(0, 50) },
    ({ failures, gap_ms }) =>
      Effect.sync(() => {
        const book = new AddressBook(limits)
        let now_ms = 0
        for (let i = 0; i < failures; i++) book.fail("a", (now_ms += gap_ms))
        const refusal = book.ask("a", now_ms)
        if (refusal !== undefined) {
          assert.isAtMost(refusal.retry_ms, 1_000)
          assert.isUndefined(book.ask("a", now_ms + refusal.retry_ms))
        }
        for (let i = 0; i < 5; i++) book.open("b", now_ms)
        const opening = book.open("b", now_ms)
        assert.deepStrictEqual(opening, { code: "TOO_MANY_OPENINGS", retry_ms: 100 })
        assert.isUndefined(book.open("b", now_ms + 100))
      }),
  )

  it("does not count as opened what is refused", () => {
    const book = new AddressBook(limits)
    for (let i = 0; i < 3; i++) assert.isUndefined(book.connect("a", 0))
    for (let i = 0; i < 50; i++) assert.propertyVal(book.connect("a", 0), "code", "TOO_MANY_CONNECTIONS")
    book.close("a")
    assert.isUndefined(book.connect("a", 0))
  })

  it("forgets an address that has closed all and asked nothing for a while", () => {
    const book = new AddressBook(limits)
    for (let i = 0; i < 10; i++) {
      book.connect(`a${i}`, 0)
      book.close(`a${i}`)
      book.fail(`a${i}`, 0)
    }
    assert.strictEqual(book.size, 10)
    for (let i = 0; i < 20; i++) {
      book.open("b", 10_000 + i)
      book.fail("b", 10_000 + i)
    }
    assert.strictEqual(book.size, 1)
  })

  it("remembers no more addresses than its bound, however many come at once", () => {
    const book = new AddressBook(limits)
    for (let i = 0; i < 1_000; i++) book.open(`a${i}`, 0)
    assert.isAtMost(book.size, limits.addresses)
  })

  it("goes on under a clock that goes back", () => {
    const book = new AddressBook(limits)
    for (let i = 0; i < 20; i++) book.fail("a", 1_000_000)
    assert.isAtMost(book.ask("a", 0)?.retry_ms ?? 0, 1_000)
  })
})
