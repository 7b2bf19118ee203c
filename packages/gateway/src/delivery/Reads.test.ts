import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeReads } from "./Reads.ts"

const reading_ms = 4

describe("reads of mailboxes", () => {
  it.effect("let others have their turn after read_turn_ms, and leave out whoever has gone meanwhile", () =>
    Effect.gen(function* () {
      let now_ms = 0
      const begun: Array<ReadonlyArray<number>> = [[]]
      const put = yield* makeReads(
        { read_turn_ms: 10 },
        () => now_ms,
        ({ n }: { readonly n: number; readonly connection: { readonly isClosed: boolean } }) => {
          now_ms += reading_ms
          begun.push([...(begun.pop() ?? []), n])
        },
      )
      for (let n = 0; n < 8; n++) put({ n, connection: { isClosed: n === 1 } })
      while (begun.flat().length < 7) {
        yield* Effect.yieldNow
        begun.push([])
      }
      assert.deepStrictEqual(
        begun.filter((turn) => turn.length > 0),
        [[0, 2, 3], [4, 5, 6], [7]],
      )
    }),
  )
})
