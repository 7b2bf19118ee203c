/** What is measured of each process while a soak runs, and whether it grows. */
import { readdirSync, readFileSync } from "node:fs"
import type { ClusterNode } from "../chaos/Cluster.ts"

export const measures = ["RSS, MB", "event loop delay, p99 ms", "open handles", "lag, records"] as const
export type Measure = (typeof measures)[number]

export interface Sample {
  readonly minute: number
  readonly process: string
  readonly measure: Measure
  readonly value: number
}

/** What a process is now; nothing of one that is not there or stands still. */
export const sampleNode = async (
  node: ClusterNode,
  process: string,
  minute: number,
): Promise<ReadonlyArray<Sample>> => {
  const [inside, handles, lag] = [readInside(node), countHandles(node), await askLag(node)]
  const values: ReadonlyArray<readonly [Measure, number | undefined]> = [
    ["RSS, MB", inside?.rss_mb],
    ["event loop delay, p99 ms", inside?.loopDelay_ms],
    ["open handles", handles],
    ["lag, records", lag],
  ]
  return values.flatMap(([measure, value]) => (value === undefined ? [] : { minute, process, measure, value }))
}

/** RSS and open handles of a process that is not ours. */
export const samplePid = (pid: number | undefined, process: string, minute: number): ReadonlyArray<Sample> => {
  if (pid === undefined) return []
  try {
    const kb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    const handles = readdirSync(`/proc/${pid}/fd`).length
    return [
      { minute, process, measure: "RSS, MB", value: kb / 1024 },
      { minute, process, measure: "open handles", value: handles },
    ]
  } catch {
    // It ended in the meantime.
    return []
  }
}

/** The median of the last third against that of the second: the first is warming up. */
export const growthOf = (samples: ReadonlyArray<Sample>, process: string, measure: Measure, minutes: number) => {
  const values = (from: number, to: number) =>
    samples
      .filter((sample) => sample.process === process && sample.measure === measure)
      .filter(({ minute }) => minute >= from * minutes && minute < to * minutes)
      .map(({ value }) => value)
  return { before: median(values(1 / 3, 2 / 3)), after: median(values(2 / 3, Number.POSITIVE_INFINITY)) }
}

/** Beyond both it counts as growth. */
const allowed: Readonly<Partial<Record<Measure, { readonly factor: number; readonly more: number }>>> = {
  "RSS, MB": { factor: 1.25, more: 40 },
  "open handles": { factor: 1.25, more: 20 },
}

export const isGrowth = (measure: Measure, { after, before }: { readonly before: number; readonly after: number }) => {
  const bound = allowed[measure]
  return bound !== undefined && after > before * bound.factor && after > before + bound.more
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN

/** The last whole line that `preload.ts` wrote, once. */
const readInside = (node: ClusterNode) => {
  const lines = readIfThere(node.samples).split("\n")
  if (seen.get(node) === lines.length) return undefined
  seen.set(node, lines.length)
  const [rss, loopDelay_ms] = (lines.at(-2) ?? "").split(" ").map(Number)
  return rss === undefined || loopDelay_ms === undefined ? undefined : { rss_mb: rss / 2 ** 20, loopDelay_ms }
}

const seen = new WeakMap<ClusterNode, number>()

const readIfThere = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    // It has written nothing yet.
    return ""
  }
}

const countHandles = ({ group }: ClusterNode): number | undefined =>
  samplePid(group, "", 0).find(({ measure }) => measure === "open handles")?.value

/** Of all partitions that it has, in all topics. */
const askLag = async (node: ClusterNode): Promise<number | undefined> => {
  if (!node.name.startsWith("pipeline")) return undefined
  try {
    const lags = [...(await node.get("/metrics", 1_000)).matchAll(/^nimbus_lag_records\S* (\d+)/gm)]
    return lags.length === 0 ? undefined : lags.reduce((sum, [, lag]) => sum + Number(lag), 0)
  } catch {
    // It is killed, or stands still.
    return undefined
  }
}
