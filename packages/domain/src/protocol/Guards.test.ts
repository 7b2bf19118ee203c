import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Guards from "./Guards.ts"
import { ClientId, Cursor, Epoch, EventId, Incarnation, Seq, start } from "./Ids.ts"
import { EventName } from "./Records.ts"
import { StatusName } from "./Status.ts"

/** Each guard with its schema. */
const pairs: ReadonlyArray<readonly [string, (u: unknown) => boolean, (u: unknown) => boolean]> = [
  ["ClientId", Guards.isClientId, Schema.is(ClientId)],
  ["EventId", Guards.isEventId, Schema.is(EventId)],
  ["EventName", Guards.isEventName, Schema.is(EventName)],
  ["Incarnation", Guards.isIncarnation, Schema.is(Incarnation)],
  ["Cursor", Guards.isCursor, Schema.is(Cursor)],
  ["Seq", Guards.isSeq, Schema.is(Seq)],
  ["Epoch", Guards.isEpoch, Schema.is(Epoch)],
  ["StatusName", Guards.isStatusName, Schema.is(StatusName)],
  ["String", Guards.isText, Schema.is(Schema.String)],
  ["Int", Guards.isInteger, Schema.is(Schema.Int)],
]

const numbers = [-2, -1, -0.5, 0, 1, 2 ** 53 - 1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, 7n]
const lengths = [0, 1, 128, 129, 256, 257].map((length) => "x".repeat(length))
const texts = ["c1\n", "a b", "A9._:@-", "é", "LIVE", "OFFLINE", "REPLAYING", "live"]
const edges: ReadonlyArray<unknown> = [undefined, null, ...numbers, ...lengths, ...texts]

describe("Guards", () => {
  it.each(pairs)("%s is decided as by its schema, at the edges", (_, guard, schema) => {
    for (const value of edges) assert.strictEqual(guard(value), schema(value), String(value))
  })

  it.effect.prop(
    "any value is decided as by the schema",
    [Schema.Union([Schema.Json, ClientId, EventId, Cursor])],
    ([value]) =>
      Effect.sync(() => {
        for (const [name, guard, schema] of pairs) assert.strictEqual(guard(value), schema(value), name)
      }),
  )

  it("begins where the ids do", () => {
    assert.strictEqual(Guards.beginning, start)
  })
})
