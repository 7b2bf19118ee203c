/** What each fault did, as a table on stdout. */
import { type Breaches, sum } from "./Ledger.ts"
import type { Recovery } from "./Recovery.ts"

/** One row for each kind of fault: how often it struck, and the median and longest times. */
export const printTable = (recoveries: ReadonlyArray<Recovery>): void => {
  const kinds = Map.groupBy(recoveries, ({ name }) => name)
  const rows = Array.from(kinds, ([name, all]) => [
    name,
    String(all.length),
    ...countsOf(sum(all.map(({ breaches }) => breaches))).map(String),
    ...[({ away_ms }: Recovery) => away_ms, answered, live].map((of) => range(all.map(of))),
  ])
  const breaches = ["lost", "repeated", "out of order", "foreign"]
  const header = ["fault", "times", ...breaches, "away, s", "each client answered again, s", "all LIVE again, s"]
  for (const row of [header, header.map(() => "---"), ...rows]) console.log(`| ${row.join(" | ")} |`)
}

const countsOf = ({ foreign, lost, outOfOrder, repeated }: Breaches) => [lost, repeated, outOfOrder, foreign]

const answered = ({ answered_ms }: Recovery): number => answered_ms
const live = ({ live_ms }: Recovery): number => live_ms

const range = (times_ms: ReadonlyArray<number>): string => {
  const sorted = times_ms.toSorted((a, b) => a - b).map((time) => (time / 1000).toFixed(1))
  const [median, longest] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted.at(-1)]
  return sorted.length < 2 ? String(longest) : `${median}, at most ${longest}`
}
