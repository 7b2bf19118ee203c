/** To compare two things in turn on a machine that does other work too: ABBA, ratios, and how sure they are. */
import { readdirSync, readFileSync } from "node:fs"
import { quantile } from "./Load.ts"

const resamples = 10_000

/** The processor time that all threads of a process have had so far. Other work on the machine hardly touches it. */
export const cpu_us = (pid: number | undefined): number => {
  const tasks = `/proc/${pid}/task`
  const times_ns = readdirSync(tasks).map((task) =>
    Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]),
  )
  return times_ns.reduce((sum, time_ns) => sum + time_ns, 0) / 1000
}

/** The median, and where it lies with a likelihood of 95 %, by drawing the sample anew. */
export const medianOf = (sample: ReadonlyArray<number>) => {
  const draw = () =>
    quantile(
      Array.from(sample, () => sample[Math.floor(Math.random() * sample.length)]!),
      0.5,
    )
  const medians = Array.from({ length: resamples }, draw)
  return { median: quantile(sample, 0.5), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

export const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(2)} %`

/** Ratios as a percentage more or less. */
export const told = (sample: ReadonlyArray<number>): string => {
  const { high, low, median } = medianOf(sample)
  return `${percent(median)} (95 %: ${percent(low)} to ${percent(high)})`
}

export const mean = (sample: ReadonlyArray<number>): number => sample.reduce((sum, one) => sum + one, 0) / sample.length
