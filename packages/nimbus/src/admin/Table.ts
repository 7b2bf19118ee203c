/** A table for people: columns under their heads, numbers to the right. */

/** What a cell may hold; nothing shows as `-`. */
export type Cell = string | number | undefined

export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const isNumeric = heads.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] !== "string"))
  const texts = [heads, ...rows.map((row) => heads.map((_, column) => textOf(row[column])))]
  const widths = heads.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)))
  return texts
    .map((row) =>
      row
        .map((text, column) =>
          isNumeric[column] === true ? text.padStart(widths[column]!) : text.padEnd(widths[column]!),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n")
}

/** Names and what belongs to them, one to a line. */
export const list = (rows: ReadonlyArray<readonly [name: string, value: Cell]>): string => {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${textOf(value)}`.trimEnd()).join("\n")
}

const textOf = (cell: Cell): string => (cell === undefined ? "-" : String(cell))
