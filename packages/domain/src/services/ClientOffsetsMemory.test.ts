import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ClientOffsetsMemory from "./ClientOffsetsMemory.ts"
import { ClientId, Cursor, Epoch, Incarnation } from "../protocol/Ids.ts"
import { clientOffsetsSuite } from "../testing/ClientOffsetsSuite.ts"

clientOffsetsSuite("in memory", ClientOffsetsMemory.layerMemory())

describe("ClientOffsetsMemory", () => {
  it.effect("forgets who was saved longest ago at its bound", () =>
    Effect.gen(function* () {
      const { offsets } = ClientOffsetsMemory.makeMemory({ offsets: 2 })
      const of = (id: string) => ({ clientId: ClientId.make(id), epoch: Epoch.make(1), log: Incarnation.make("l") })
      const save = (id: string) => offsets.save([{ ...of(id), offset: 1, seq: Cursor.make(1) }])
      yield* save("a")
      yield* save("b")
      yield* save("a")
      yield* save("c")
      assert.deepStrictEqual(yield* offsets.load(of("a")), { offset: 1, seq: Cursor.make(1) })
      assert.isUndefined(yield* offsets.load(of("b")))
    }),
  )
})
