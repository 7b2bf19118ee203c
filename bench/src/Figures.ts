/**
 * What a measurement comes to: the median of three with its range, in a table.
 *
 * What is compared is measured in turn (A B C, A B C, A B C), so that a machine that slows down slows all of them.
 */
import { loadavg } from "node:os"
import { quantile } from "./Load.ts"

/** How often everything is measured. */
export const turns = 3

export interface Figure {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** One or more numbers from one measurement, as p50 and p99. */
export type Measured = ReadonlyArray<number>

/** Of each number its median and range. A measurement that came to no number is an error, never a figure. */
export const figuresOf = (measured: ReadonlyArray<Measured>): ReadonlyArray<Figure> =>
  (measured[0] ?? []).map((_, i) => {
    const sample = measured.map((one) => one[i] ?? Number.NaN)
    if (!sample.every((n) => Number.isFinite(n) && n >= 0)) throw new Error(`no figure: ${sample.join(", ")}`)
    return { median: quantile(sample, 0.5), low: Math.min(...sample), high: Math.max(...sample) }
  })

/** Measures each of them once, then each again, until each was measured three times. */
export const inTurn = async (
  measures: ReadonlyArray<() => Promise<Measured>>,
): Promise<ReadonlyArray<ReadonlyArray<Figure>>> => {
  const all = measures.map(() => new Array<Measured>())
  for (let turn = 0; turn < turns; turn++) {
    for (const [i, measure] of measures.entries()) all[i]?.push(await measure())
  }
  return all.map(figuresOf)
}

export interface Unit {
  readonly name: string
  readonly digits: number
}

export const perSecond: Unit = { name: "/s", digits: 0 }
export const milliseconds: Unit = { name: " ms", digits: 2 }
export const kilobytes: Unit = { name: " KB", digits: 1 }

/** `1,234/s (1,200 to 1,300)`, several with a stroke between them. */
export const worded = (figures: ReadonlyArray<Figure>, { digits, name }: Unit): string => {
  const number = (n: number) => n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return figures
    .map(({ high, low, median }) => `${number(median)}${name} (${number(low)} to ${number(high)})`)
    .join(" / ")
}

/** Of the medians of the first number. */
export const ratioOf = (ours: ReadonlyArray<Figure>, theirs: ReadonlyArray<Figure>): string =>
  ours[0] === undefined || theirs[0] === undefined ? "" : (ours[0].median / theirs[0].median).toFixed(3)

/** Figures from a busy machine are no figures: it is said how busy it was. */
export const tellLoad = (when: string): void => {
  const load = loadavg().map((n) => n.toFixed(2))
  console.error(`load average ${when}: ${load.join(" ")}`)
}
