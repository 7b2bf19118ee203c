import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ClientId, Cursor, Epoch, EventId, Incarnation, PodId, Seq, start } from "./Ids.ts"

interface Case {
  readonly name: string
  readonly schema: Schema.Codec<unknown>
  readonly legal: ReadonlyArray<unknown>
  readonly illegal: ReadonlyArray<unknown>
}

const atMost = (n: number) => "x".repeat(n)
const integers = { illegal: [-2, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, "1", null] }

const cases: ReadonlyArray<Case> = [
  {
    name: "ClientId",
    schema: ClientId,
    legal: ["a", "Aa0._:@-", "user@example.com", atMost(128)],
    illegal: ["", " ", "a b", "a/b", "a\n", "\na", "ä", "a{b}", atMost(129), 1, null],
  },
  {
    name: "PodId",
    schema: PodId,
    legal: ["a", "Aa0._:-", atMost(128)],
    illegal: ["", "a@b", "a b", "a\n", atMost(129)],
  },
  { name: "EventId", schema: EventId, legal: ["a", " ", "ä/{}", atMost(128)], illegal: ["", atMost(129), 1] },
  { name: "Incarnation", schema: Incarnation, legal: ["a", atMost(256)], illegal: ["", atMost(257)] },
  { name: "Epoch", schema: Epoch, legal: [0, 1, 2 ** 53 - 1], illegal: [-1, ...integers.illegal] },
  { name: "Seq", schema: Seq, legal: [0, 1, 2 ** 53 - 1], illegal: [-1, ...integers.illegal] },
  { name: "Cursor", schema: Cursor, legal: [-1, 0, 1, 2 ** 53 - 1], illegal: integers.illegal },
]

describe("Ids", () => {
  it.each(cases)("$name takes what is legal and nothing else", ({ illegal, legal, schema }) => {
    const is = Schema.is(schema)
    for (const value of legal) assert.isTrue(is(value), `${String(value)} is legal`)
    for (const value of illegal) assert.isFalse(is(value), `${JSON.stringify(value)} is illegal`)
  })

  it.effect.prop("a client id is made of its characters alone", [Schema.String], ([text]) =>
    Effect.sync(() => {
      const legal =
        text.length >= 1 && text.length <= 128 && [...text].every((character) => alphabet.includes(character))
      assert.strictEqual(Schema.is(ClientId)(text), legal)
    }),
  )

  it("before the first record is a cursor, and no seq", () => {
    assert.isTrue(Schema.is(Cursor)(start))
    assert.isFalse(Schema.is(Seq)(start))
  })
})

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-"
