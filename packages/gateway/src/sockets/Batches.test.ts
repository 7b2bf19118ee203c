import { assert, it } from "@effect/vitest"
import { type Item, Seq } from "@nimbus/domain/protocol"
import { inBatches } from "./Batches.ts"

const items = (...sizes: ReadonlyArray<number>): ReadonlyArray<Item> =>
  sizes.map((size, i) => ({ seq: Seq.make(i), value: new Uint8Array(size) }))

it("cuts results into pieces that have so many bytes, and loses none", () => {
  const cut = (all: ReadonlyArray<Item>) => [...inBatches(all, 10)].map((batch) => batch.map(({ seq }) => Number(seq)))
  assert.deepStrictEqual(cut(items(4, 4, 4, 4)), [[0, 1, 2], [3]])
  assert.deepStrictEqual(cut(items(30, 1, 9)), [[0], [1, 2]])
  assert.deepStrictEqual(cut([]), [])
})
