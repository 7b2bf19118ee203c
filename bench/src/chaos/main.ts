/**
 * `npm run chaos -- --seconds 60 --seed 1`: a cluster of two gateways and two pipelines on a real Kafka and Redis, with
 * clients that send and receive without pause, while one part after the other is killed, paused, emptied, cut off or
 * stopped at moments that the seed chooses.
 *
 * In the end each client's own record of what was accepted is held against what it was shown. Ends with 1 if anything
 * was lost, repeated or out of order, if a client is not LIVE, or if a process ended that nobody killed.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { diskFull } from "./DiskFull.ts"
import { faults, type TestEnvironment, kinds, kindsOfTasks, rebalances } from "./Faults.ts"
import { judge } from "./Judgement.ts"
import { describe, recover, type Recovery } from "./Recovery.ts"
import { setStage } from "./Stage.ts"
import { printTable } from "./Table.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    partitions: { type: "string", default: "12" },
    clients: { type: "string", default: "200" },
    /** Events per second of each client. */
    rate: { type: "string", default: "2.5" },
    /** Seconds that Kafka stays away. */
    outage: { type: "string", default: "10" },
    /** These faults, with commas between them. Default: all. */
    faults: { type: "string" },
    /** Instead of all faults only rebalances, each followed by an event of every client within a second. */
    relive: { type: "boolean", default: false },
    /** Instead of all faults only this: so many clients, all cut off at once. */
    herd: { type: "string" },
    /** Instead of all faults only this, for the embedded server. */
    "disk-full": { type: "boolean", default: false },
    /** With handlers that take 0 to 2 s for one event in 20. */
    "slow-handlers": { type: "boolean", default: false },
    /** With tasks, which two workers run that are struck, too. */
    tasks: { type: "boolean", default: false },
    /** Where the processes' logs are kept. Default: nowhere. */
    logs: { type: "string" },
  },
})
const refuse = (reason: string): never => {
  console.error(reason)
  process.exit(2)
}
const number = (name: "seconds" | "seed" | "partitions" | "clients" | "rate" | "outage" | "herd"): number => {
  const value = Number(values[name])
  return Number.isFinite(value) && value >= 0 ? value : refuse(`--${name} ${values[name]} is no number`)
}
const isHerd = values.herd !== undefined
const known = new Map([...kinds, ...(values.tasks ? kindsOfTasks : [])])
const chosen = (isHerd ? ["herd"] : (values.faults?.split(",") ?? [...known.keys()])).map(
  (name) => known.get(name) ?? refuse(`${name} is none of ${[...known.keys()].join(", ")}`),
)
const [seconds, seed, clients] = [number("seconds"), number("seed"), number(isHerd ? "herd" : "clients")]

const began = performance.now()
const say = (line: string): void =>
  console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`)

/** All faults, again and again until the time is over; the first round is always finished. */
const torment = async (testEnvironment: TestEnvironment, check: () => void): Promise<ReadonlyArray<Recovery>> => {
  const recoveries: Array<Recovery> = []
  const until = performance.now() + seconds * 1000
  for (let round = 0; round === 0 || performance.now() < until; round++) {
    for (const fault of values.relive ? rebalances(testEnvironment) : faults(testEnvironment, chosen)) {
      if (round > 0 && performance.now() >= until) break
      await sleep(testEnvironment.dice.below(1_500))
      say(fault.name)
      const recovery = await recover(fault, testEnvironment.fleet, check)
      recoveries.push(recovery)
      say(`  well again after ${(Math.max(recovery.live_ms, recovery.answered_ms) / 1000).toFixed(1)} s`)
    }
  }
  return recoveries
}

/** On a cluster; whether it was survived. */
const cluster = async (): Promise<boolean> => {
  // A few clients of their own rhythm, or many that are mostly quiet, or that speak when they are told to.
  const [rate, batch] = isHerd ? [0.02, 1] : [number("rate"), values.relive ? 1 : 3]
  const stage = await setStage({
    seed,
    partitions: number("partitions"),
    outage_ms: number("outage") * 1000,
    sparesFirst: false,
    slowHandlers: values["slow-handlers"],
    hasTasks: values.tasks,
    logs: values.logs,
    fleet: { clients, processes: 2, rate, batch, remembersInFiles: !values.relive && !isHerd },
  })
  const { fleet } = stage.testEnvironment
  try {
    await stage.start()
    say(`two gateways, two pipelines, ${values.partitions} partitions, seed ${seed}`)
    say(`all clients are there: ${describe(fleet)}`)
    // All must be LIVE before they can be told to send soon.
    const mend = async () => {
      if (!values.relive && !isHerd) return
      while (fleet.progress.live < clients) await sleep(50)
      await fleet.burst(5_000)
    }
    await recover({ name: "connecting", strike: async () => {}, mend }, fleet, () => stage.check())
    say(describe(fleet))
    const recoveries = await torment(stage.testEnvironment, () => stage.check())
    const isSound = await judge(fleet)
    stage.check()
    printTable(recoveries)
    return isSound
  } finally {
    await stage.end()
  }
}

let isPassed = false
try {
  isPassed = values["disk-full"]
    ? await diskFull({ clients, rate: number("rate"), logs: values.logs, say })
    : await cluster()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
}
process.exitCode = isPassed ? 0 : 1
