import type { Item } from "@nimbus/domain/protocol"

/** Results in pieces of so many bytes of their records, so that each piece can be acknowledged separately. */
export function* inBatches(items: ReadonlyArray<Item>, batch_bytes: number): Iterable<ReadonlyArray<Item>> {
  let [from, bytes] = [0, 0]
  for (const [i, { value }] of items.entries()) {
    bytes += value.length
    if (bytes < batch_bytes) continue
    yield items.slice(from, i + 1)
    from = i + 1
    bytes = 0
  }
  if (from < items.length) yield items.slice(from)
}
