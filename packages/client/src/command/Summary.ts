/** The summary of a run of the sample client: counts, times, and their table. Pure. */

export interface Summary {
  readonly sent: number
  readonly accepted: number
  readonly refused: number
  /** The number of events of this run that have a result. */
  readonly received: number
  /** The number of those results that are errors. */
  readonly failed: number
  readonly missing: number
  /** The number of results that the SDK recognised as repeats and did not show. */
  readonly repeatsDropped: number
  /** The number of results that were shown twice. It is 0 if Nimbus keeps its guarantee. */
  readonly repeated: number
  readonly outOfOrder: number
  /** For each result, the time from the call of `send` to the result. */
  readonly latencies_ms: ReadonlyArray<number>
}

/** Whether every event has exactly one result, in order. */
export const isComplete = (summary: Summary): boolean =>
  summary.missing === 0 && summary.repeated === 0 && summary.outOfOrder === 0

/**
 * The smallest value that at least `percent` of the values do not exceed (nearest rank); `undefined` if there are none.
 */
export const percentile = (values: ReadonlyArray<number>, percent: number): number | undefined =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil((percent / 100) * values.length) - 1)]

export const table = (clientId: string, summary: Summary): string => {
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["sent", String(summary.sent)],
    ["accepted", String(summary.accepted)],
    ["refused", String(summary.refused)],
    ["received", String(summary.received)],
    ["  of them errors", String(summary.failed)],
    ["missing", String(summary.missing)],
    ["repeats dropped", String(summary.repeatsDropped)],
    ["repeats shown", String(summary.repeated)],
    ["out of order", String(summary.outOfOrder)],
    ["p50", milliseconds(percentile(summary.latencies_ms, 50))],
    ["p99", milliseconds(percentile(summary.latencies_ms, 99))],
  ]
  const left = Math.max(...rows.map(([name]) => name.length))
  const right = Math.max(...rows.map(([, value]) => value.length))
  return [
    `client ${clientId}`,
    ...rows.map(([name, value]) => `  ${name.padEnd(left)}  ${value.padStart(right)}`),
  ].join("\n")
}

export const milliseconds = (value: number | undefined): string =>
  value === undefined ? "-" : `${value.toFixed(value < 100 ? 1 : 0)} ms`

const barWidth = 30

export const bar = (done: number, total: number): string => {
  const filled = total === 0 ? barWidth : Math.floor((done / total) * barWidth)
  return `[${"#".repeat(filled)}${"-".repeat(barWidth - filled)}] ${done}/${total}`
}
