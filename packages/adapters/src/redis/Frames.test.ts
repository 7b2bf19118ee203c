import { assert, describe, it } from "@effect/vitest"
import {
  Ack,
  type AckMessage,
  ClientId,
  Cursor,
  Drain,
  Kick,
  MailboxHint,
  Nack,
  type PodMessage,
  type Push,
  RouteId,
  Seq,
} from "@nimbus/domain/protocol"
import { Arbitrary, Effect, Schema } from "effect"
import { decodeAckFrame, decodePodFrame, encodeFrame } from "./Frames.ts"

const Headers = Schema.Record(Schema.String, Schema.String)
const Value = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))

const pushes: Arbitrary.Arbitrary<Push> = Arbitrary.map(
  Arbitrary.schema(
    Schema.Struct({
      clientId: ClientId,
      route: RouteId,
      prev: Seq,
      seq: Seq,
      value: Value,
      headers: Schema.optionalKey(Headers),
    }),
  ),
  ({ value, ...push }): Push => ({ _tag: "Push", ...push, value: Uint8Array.from(value) }),
)
const podMessages: Arbitrary.Arbitrary<ReadonlyArray<PodMessage>> = Arbitrary.map(
  Arbitrary.all([Arbitrary.array(pushes), Arbitrary.array(Arbitrary.schema(Schema.Union([MailboxHint, Kick, Drain])))]),
  ([some, others]) => [...others, ...some, ...others],
)
const ackMessages: Arbitrary.Arbitrary<ReadonlyArray<AckMessage>> = Arbitrary.array(
  Arbitrary.schema(Schema.Union([Ack, Nack])),
)

const clientId = ClientId.make("c1")
const push: Push = {
  _tag: "Push",
  clientId,
  route: RouteId.make("r.1"),
  prev: Seq.make(2 ** 40),
  seq: Seq.make(2 ** 53 - 1),
  value: Uint8Array.of(0, 128, 255),
  headers: { "nimbus-journey": "[ü]" },
}

describe("Frames", () => {
  it.effect.prop("of a pod channel come out as they went in", [podMessages], ([messages]) =>
    Effect.sync(() => assert.deepStrictEqual(decodePodFrame(encodeFrame(messages)), messages)),
  )

  it.effect.prop("of an ack channel come out as they went in", [ackMessages], ([messages]) =>
    Effect.sync(() => assert.deepStrictEqual(decodeAckFrame(encodeFrame(messages)), messages)),
  )

  it("carry numbers beyond 32 bits, bytes that are no text, and an ack of nothing", () => {
    assert.deepStrictEqual(decodePodFrame(encodeFrame([push])), [push])
    const ack: AckMessage = { _tag: "Ack", clientId, seq: Cursor.make(-1) }
    assert.deepStrictEqual(decodeAckFrame(encodeFrame([ack])), [ack])
  })

  it("are nothing where they are cut off, too long, of another version, of another kind, or have broken headers", () => {
    const frame = Buffer.from(encodeFrame([push, { _tag: "Mail", clientId }]))
    for (let length = 0; length < frame.length; length++) {
      assert.isUndefined(decodePodFrame(frame.subarray(0, length)), `the first ${length} bytes`)
    }
    assert.isUndefined(decodePodFrame(Buffer.concat([frame, Buffer.of(0)])))
    assert.isUndefined(decodePodFrame(Buffer.concat([Buffer.of(1), frame.subarray(1)])))
    assert.isUndefined(decodeAckFrame(frame))
    assert.isUndefined(decodePodFrame(encodeFrame([{ _tag: "Nack", clientId }])))
    const broken = Buffer.from(frame)
    broken.write("]", broken.indexOf("{"))
    assert.isUndefined(decodePodFrame(broken))
  })
})
