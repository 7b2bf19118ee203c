/**
 * The archive in memory: for tests and for processes whose log is in memory too. Bounded by that log's retention alone.
 */
import { Effect, Layer } from "effect"
import { Archive, type ArchiveQuestion, type ArchiveRecord, type ArchiveShape, type ArchiveSource } from "./Archive.ts"

/** An archive that lives as long as the layer. */
export const layerMemory = (): Layer.Layer<Archive> => Layer.sync(Archive, makeMemory)

/** Places are written about in order, and looked for from the end. */
type Rows = Array<Omit<ArchiveRecord, "key">>

/** The same as a value. */
export const makeMemory = (): ArchiveShape => {
  const positions = new Map<string, number>()
  const rows = new Map<string, Rows>()
  return {
    stores: ["memory"],
    position: (source) => Effect.sync(() => positions.get(nameOf(source))),
    write: ({ position, records, source }) =>
      Effect.sync(() => {
        for (const { key, ...row } of records) {
          const name = JSON.stringify([source.incarnation, source.kind, key])
          const under = rows.get(name)
          if (under === undefined) rows.set(name, [row])
          else insert(under, row)
        }
        positions.set(nameOf(source), Math.max(position, positions.get(nameOf(source)) ?? 0))
        return []
      }),
    page: ({ after, incarnation, key, kind, limit }) =>
      Effect.sync(() => pageOf(rows.get(JSON.stringify([incarnation, kind, key])) ?? [], after, limit)),
  }
}

const nameOf = ({ incarnation, kind, partition }: ArchiveSource): string =>
  JSON.stringify([incarnation, kind, partition])

const insert = (rows: Rows, row: Rows[number]): void => {
  const before = rows.findLastIndex(({ place }) => place <= row.place)
  if (rows[before]?.place !== row.place) rows.splice(before + 1, 0, row)
}

const pageOf = (rows: Rows, after: number, limit: ArchiveQuestion["limit"]) => {
  const begin = rows.findLastIndex(({ place }) => place <= after) + 1
  const records: Rows = []
  let bytes = 0
  for (const row of rows.slice(begin, begin + limit.results)) {
    bytes += row.value.length
    if (records.length > 0 && bytes > limit.bytes) break
    records.push(row)
  }
  return { records, more: begin + records.length < rows.length }
}
