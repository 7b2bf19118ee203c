import { assert, describe, it } from "@effect/vitest"
import { encodeResult, EventId, type Item, Journey, Seq, ServerFrames } from "@nimbus/domain/protocol"
import { Result } from "effect"
import { encodeResults } from "./FrameCodec.ts"

const item = (seq: number, isFollowed = false): Item => ({
  seq: Seq.make(seq),
  value: encodeResult({ seq: Seq.make(seq), id: EventId.make(`é${seq}`), name: "sq", data: { result: seq } }),
  headers: isFollowed ? Journey.sample({ time: 1, service: "gateway", instance: "gw", step: "accepted" }) : undefined,
})

const decoded = (items: ReadonlyArray<Item>, withJourney: boolean) => {
  const frame = Result.getOrThrow(ServerFrames.parse(encodeResults(items, withJourney).toString()))
  return frame.type === "results" ? frame.items : assert.fail(frame.type)
}

describe("a results frame", () => {
  it("joins the records' own bytes into one frame that the SDK reads", () => {
    assert.deepStrictEqual(
      decoded([item(1), item(2)], false).map(({ data, id, seq }) => ({ seq, id, data })),
      [1, 2].map((seq) => ({ seq: Seq.make(seq), id: EventId.make(`é${seq}`), data: { result: seq } })),
    )
  })

  it("adds the journey to the results that have one, where it was asked for", () => {
    const [plain, followed] = decoded([item(1), item(2, true)], true)
    assert.isUndefined(plain?.journey)
    assert.deepStrictEqual(
      followed?.journey?.map(({ step }) => step),
      ["accepted"],
    )
    assert.isUndefined(decoded([item(2, true)], false)[0]?.journey)
  })
})
