import { assert, describe, it } from "@effect/vitest"
import { fromBinary, toBinary } from "@bufbuild/protobuf"
import { encodeResult, EventId, Seq } from "@nimbus/domain/protocol"
import { Arbitrary, Effect, Schema } from "effect"
import { FrameReader } from "./Frames.ts"
import { EventResponseSchema } from "./gen/nimbus_pb.js"
import { encodeResults, recordIn, resultOf } from "./Responses.ts"

const Int32 = Schema.Int.check(Schema.isBetween({ minimum: -2147483648, maximum: 2147483647 }))
const edges = [0, 1, -1, 127, 128, 16383, 16384, 2147483647, -2147483648]
const Text = Schema.String.check(Schema.isBetweenLength(1, 128))

interface Given {
  readonly seq: number
  readonly id: string
  readonly name: string
  readonly data: Schema.Json
  /** It is a part of a task. */
  readonly task?: { readonly of: string; readonly attempt: number; readonly part: number }
}

const itemOf = ({ data, id, name, seq, task }: Given) => {
  const value = encodeResult({ seq: Seq.make(seq), id: EventId.make(id), name, data })
  if (task === undefined) return { seq: Seq.make(seq), value }
  return {
    seq: Seq.make(seq),
    value: Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(value).toString()), ...task })),
  }
}

/** The messages on a stream that is cut into chunks of this size. */
const messagesIn = (bytes: Buffer, chunk_bytes: number): ReadonlyArray<string> => {
  const reader = new FrameReader(1_000_000, "identity")
  const messages: Array<string> = []
  for (let at = 0; at < bytes.length; at += chunk_bytes) {
    const fault = reader.read(bytes.subarray(at, at + chunk_bytes), (message) => {
      messages.push(Buffer.from(message).toString("hex"))
      return true
    })
    assert.isUndefined(fault)
  }
  return messages
}

/** What the generated code makes of it. */
const generated = (given: Given): string => {
  const item = itemOf(given)
  return Buffer.from(toBinary(EventResponseSchema, resultOf(item, recordIn(item.value), false))).toString("hex")
}

const assertSame = (given: ReadonlyArray<Given>, chunk_bytes: number): void => {
  const seen: Array<string> = []
  const bytes = encodeResults(given.map(itemOf), false, ({ id }) => seen.push(id))
  assert.deepStrictEqual(messagesIn(bytes, chunk_bytes), given.map(generated))
  assert.deepStrictEqual(
    seen,
    given.map(({ id }) => id),
  )
}

describe("Responses", () => {
  const Pair = Schema.Struct({ number: Int32, result: Int32 })
  const Odd = Schema.Struct({ number: Schema.Number.check(Schema.isFinite()), text: Schema.String })
  const Data = Schema.Union([Pair, Odd, Schema.Json])
  const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2147483647 }))
  const Task = Schema.Struct({ of: Text, attempt: Count, part: Count })
  const Given = Schema.Struct({ seq: Seq, id: Text, name: Text, data: Data, task: Schema.optionalKey(Task) })

  it.effect.prop(
    "writes results by hand as the generated code does, and reads them again from chunks of any size",
    {
      given: Arbitrary.array(Arbitrary.schema(Given)),
      chunk_bytes: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
    },
    ({ chunk_bytes, given }) => Effect.sync(() => assertSame(given, chunk_bytes)),
    { arbitrary: { runs: 300 } },
  )

  it("says of a repeat which the first was, also to clients that have no field for it", () => {
    const seq = Seq.make(15)
    const value = encodeResult({ seq, id: EventId.make("e1"), name: "sq", data: null, repeated: Seq.make(12) })
    const [hex = ""] = messagesIn(
      encodeResults([{ seq, value }], false, () => {}),
      100,
    )
    const {
      dataJson,
      error,
      eventId,
      log,
      repeatOf,
      seq: told,
    } = fromBinary(EventResponseSchema, Buffer.from(hex, "hex"))
    assert.deepStrictEqual([told, eventId, repeatOf, dataJson, error], [15n, "e1", 12n, undefined, undefined])
    assert.include(log?.steps.at(-1)?.message, "at seq 12")
  })

  it("does so at the edges of each field", () => {
    const given = edges.flatMap((number) =>
      edges.map((result, i) => ({
        seq: [0, 127, 2 ** 31, 2 ** 35 + 1, Number.MAX_SAFE_INTEGER][i % 5]!,
        id: i === 0 ? "e" : "é".repeat(i),
        name: "x".repeat(128),
        data: { number, result },
      })),
    )
    assertSame(given, 7)
  })

  it("does so for parts of tasks, at the edges of each field", () => {
    const counts = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, 2_147_483_647]
    const given = counts.flatMap((attempt) =>
      counts.map((part, i) => ({
        seq: i,
        id: `t1.${attempt}.${part}`,
        name: "ask",
        data: "text",
        task: { of: ["e", "é".repeat(64), "x".repeat(127), "漢".repeat(128)][i % 4]!, attempt, part },
      })),
    )
    assertSame(given, 64)
  })

  it("says of a part whose numbers are beyond the contract that it can't be read", () => {
    const part = { seq: 1, id: "t1.1.0", name: "ask", data: 1, task: { of: "e", attempt: 1, part: 2 ** 31 } }
    const [hex = ""] = messagesIn(
      encodeResults([itemOf(part)], false, () => {}),
      100,
    )
    assert.strictEqual(fromBinary(EventResponseSchema, Buffer.from(hex, "hex")).error?.code, "CORRUPT_RECORD")
  })

  it("does so for texts of any length, in any script", () => {
    const texts = ["", "x", "é", "漢", "\u{1f600}", "\ud800"].flatMap((text) =>
      [1, 31, 32, 33, 127, 128, 20_000].map((times) => text.repeat(times)),
    )
    assertSame(
      texts.map((text, i) => ({ seq: i, id: `e${i}`, name: text.slice(0, 128) || "n", data: [text, { number: 1 }] })),
      4_096,
    )
  })
})
