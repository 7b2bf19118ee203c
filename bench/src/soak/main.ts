/**
 * `npm run soak -- --minutes 30`: the cluster of `npm run chaos` under load, with clients that move and faults without
 * end, while each process is measured. Writes a chart to docs/soak.svg.
 *
 * The first gateway and the first pipeline are never killed: they live through all the rest. Ends with 1 if anything was
 * lost, repeated or out of order, or if one of those two grew.
 */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { faults, kinds } from "../chaos/Faults.ts"
import { judge } from "../chaos/Judgement.ts"
import { recover, type Recovery } from "../chaos/Recovery.ts"
import { setStage, type Stage } from "../chaos/Stage.ts"
import { printTable } from "../chaos/Table.ts"
import { draw, type Mark } from "./Chart.ts"
import { growthOf, isGrowth, measures, type Sample, sampleNode, samplePid } from "./Samples.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "30" },
    seed: { type: "string", default: "1" },
    clients: { type: "string", default: "200" },
    /** Events per second of each client. */
    rate: { type: "string", default: "2.5" },
    out: { type: "string", default: fileURLToPath(new URL("../../../docs/soak.svg", import.meta.url)) },
    /** Where the processes' logs are kept. Default: nowhere. */
    logs: { type: "string" },
  },
})
const number = (name: "minutes" | "seed" | "clients" | "rate"): number => {
  const value = Number(values[name])
  if (Number.isFinite(value) && value >= 0) return value
  console.error(`--${name} ${values[name]} is no number`)
  process.exit(2)
}
const [minutes, seed, clients, rate] = [number("minutes"), number("seed"), number("clients"), number("rate")]

const sample_every_ms = 2_000
/** Between two faults. */
const rest_ms = 5_000

const processes = ["gateway 1", "gateway 2 (killed)", "pipeline 1", "pipeline 2 (killed)"]
const spared = ["gateway 1", "pipeline 1"]

/** Until it is told to stop. */
const measure = async (stage: Stage, minute: () => number, stop: AbortSignal): Promise<ReadonlyArray<Sample>> => {
  const samples: Array<Sample> = []
  const { fleet, services } = stage.testEnvironment
  while (!stop.aborted) {
    const now = minute()
    for (const [i, node] of stage.nodes.entries()) samples.push(...(await sampleNode(node, processes[i] ?? "", now)))
    samples.push(...fleet.groups.flatMap((pid, i) => samplePid(pid, `clients ${i + 1}`, now)))
    samples.push(...samplePid(services.get("redis").group, "Redis", now))
    await sleep(sample_every_ms)
  }
  return samples
}

/** Faults of all kinds, one after the other, until the time is over. */
const torment = async (stage: Stage, minute: () => number) => {
  const recoveries: Array<Recovery> = []
  const marks: Array<Mark> = []
  const isOver = () => minute() >= minutes
  while (!isOver()) {
    for (const fault of faults(stage.testEnvironment, [...kinds.values()])) {
      if (isOver()) break
      marks.push({ minute: minute(), fault: fault.name })
      recoveries.push(await recover(fault, stage.testEnvironment.fleet, () => stage.check()))
      console.error(`${minute().toFixed(1)} min  ${fault.name}: survived`)
      await sleep(rest_ms)
    }
  }
  return { recoveries, marks }
}

/** Prints it; whether there is none where there must be none. */
const judgeGrowth = (samples: ReadonlyArray<Sample>): boolean => {
  const rows = spared.flatMap((process) =>
    measures.map((measure) => ({ process, measure, growth: growthOf(samples, process, measure, minutes) })),
  )
  console.log("| process | measure | median of the second third | of the last third |\n| --- | --- | --- | --- |")
  for (const { growth, measure, process } of rows) {
    const { after, before } = growth
    if (!Number.isNaN(after)) console.log(`| ${process} | ${measure} | ${before.toFixed(1)} | ${after.toFixed(1)} |`)
  }
  return rows.every(({ growth, measure }) => !isGrowth(measure, growth))
}

const soak = async (): Promise<boolean> => {
  const fleet = { clients, processes: 2, rate, batch: 3, remembersInFiles: true }
  const { logs } = values
  const stage = await setStage({
    seed,
    partitions: 12,
    outage_ms: 5_000,
    sparesFirst: true,
    slowHandlers: false,
    hasTasks: false,
    logs,
    fleet,
  })
  const over = new AbortController()
  try {
    await stage.start()
    await recover(
      { name: "connecting", strike: async () => {}, mend: async () => {} },
      stage.testEnvironment.fleet,
      () => stage.check(),
    )
    const began = performance.now()
    const minute = () => (performance.now() - began) / 60_000
    const measured = measure(stage, minute, over.signal)
    const { marks, recoveries } = await torment(stage, minute)
    over.abort()
    const samples = await measured
    writeFileSync(
      values.out,
      await draw(samples, marks, `${clients} clients, ${marks.length} faults (grey), seed ${seed}`),
    )
    const isSound = await judge(stage.testEnvironment.fleet)
    printTable(recoveries)
    return judgeGrowth(samples) && isSound
  } finally {
    over.abort()
    await stage.end()
  }
}

let isPassed = false
try {
  isPassed = await soak()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
}
process.exitCode = isPassed ? 0 : 1
