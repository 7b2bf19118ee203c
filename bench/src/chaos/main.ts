/**
 * `npm run chaos -- --seconds 60 --seed 1`: a cluster of two gateways and two pipelines on a real Kafka and Redis, with
 * clients that send and receive without pause, while one part after the other is killed, emptied or stopped at moments
 * that the seed chooses.
 *
 * In the end each client's own record of what was accepted is held against what it was shown. Ends with 1 if anything
 * was lost, repeated or out of order, if a client is not LIVE, or if a process ended that nobody killed.
 */
import { mkdirSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { startReaper } from "../../../scripts/services/Reaper.ts"
import { startServices } from "../../../scripts/services/Services.ts"
import { freePorts } from "../../../scripts/services/Tools.ts"
import { ClusterNode, type Role } from "./Cluster.ts"
import { Dice } from "./Dice.ts"
import { faults, type Ground, rebalances, urlOf } from "./Faults.ts"
import { Fleet } from "./Fleet.ts"
import { describe, recover, type Recovery } from "./Recovery.ts"
import { isSound } from "./Ledger.ts"
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
    /** Instead of all faults only rebalances, each followed by an event of every client within a second. */
    relive: { type: "boolean", default: false },
    /** Where the processes' logs are kept. Default: nowhere. */
    logs: { type: "string" },
  },
})
const number = (name: "seconds" | "seed" | "partitions" | "clients" | "rate" | "outage"): number => {
  const value = Number(values[name])
  if (Number.isFinite(value) && value >= 0) return value
  console.error(`--${name} ${values[name]} is no number`)
  process.exit(2)
}
const [seconds, seed, clients] = [number("seconds"), number("seed"), number("clients")]

const began = performance.now()
const say = (line: string): void =>
  console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${line}`)

/** All faults, again and again until the time is over; the first round is always finished. */
const torment = async (ground: Ground, check: () => void): Promise<ReadonlyArray<Recovery>> => {
  const recoveries: Array<Recovery> = []
  const until = performance.now() + seconds * 1000
  for (let round = 0; round === 0 || performance.now() < until; round++) {
    for (const fault of values.relive ? rebalances(ground) : faults(ground)) {
      if (round > 0 && performance.now() >= until) break
      await sleep(ground.dice.below(1_500))
      say(fault.name)
      const recovery = await recover(fault, ground.fleet)
      check()
      recoveries.push(recovery)
      say(`  well again after ${(Math.max(recovery.live_ms, recovery.answered_ms) / 1000).toFixed(1)} s`)
    }
  }
  return recoveries
}

/** Lets everything that was accepted come, and compares. */
const judge = async (fleet: Fleet): Promise<boolean> => {
  await fleet.finish()
  const deadline = performance.now() + 30_000
  while (!fleet.isWell && performance.now() < deadline) await sleep(50)
  const { breaches, details } = await fleet.judge()
  const { accepted, answered, failures, live, shown } = fleet.progress
  const { foreign, lost, outOfOrder, repeated } = breaches
  console.log(
    `${clients} clients, ${accepted} accepted, ${shown} shown: ` +
      `${lost} lost, ${repeated} repeated, ${outOfOrder} out of order, ${foreign} foreign; ${live} LIVE, ${answered} answered`,
  )
  for (const line of [...failures, ...details.slice(0, 10)]) console.log(line)
  return isSound(breaches) && fleet.isWell && failures.length === 0 && accepted > clients
}

const directory = mkdtempSync(join(tmpdir(), "nimbus-chaos-"))
const logs = values.logs === undefined ? directory : resolve(values.logs)
mkdirSync(logs, { recursive: true })
const reaper = startReaper(directory)
const services = await startServices(["kafka", "redis"])
const memories = values.relive ? undefined : join(directory, "memories")
const fleet = new Fleet({
  clients,
  processes: 2,
  directory: memories,
  rate: number("rate"),
  batch: values.relive ? 1 : 3,
})
const nodes: Array<ClusterNode> = []
const onChange = () => reaper.watch([...nodes.flatMap(({ group }) => group ?? []), ...fleet.groups])
const environment = { ...services.environment, NIMBUS_PARTITIONS: String(number("partitions")) }
const place = (role: Role, port: number): ClusterNode => {
  const node = new ClusterNode({ role, port, environment, directory: logs, onChange })
  nodes.push(node)
  return node
}
let isPassed = false
try {
  const [g1 = 0, g2 = 0, p1 = 0, p2 = 0] = await freePorts(4)
  const gateways = [place("gateway", g1), place("gateway", g2)]
  const pipelines = [place("pipeline", p1), place("pipeline", p2)]
  await Promise.all(nodes.map((node) => node.start()))
  say(`two gateways, two pipelines, ${values.partitions} partitions, seed ${seed}`)
  await fleet.begin((client) => urlOf(gateways[client % 2]!))
  say(`all clients are there: ${describe(fleet)}`)
  const dice = new Dice(seed)
  const ground = { gateways, pipelines, services, fleet, dice, outage_ms: number("outage") * 1000 }
  // All must be LIVE before they can be told to send soon.
  const mend = async () => {
    while (values.relive && fleet.progress.live < clients) await sleep(50)
    if (values.relive) await fleet.burst(5_000)
  }
  await recover({ name: "connecting", strike: async () => {}, mend }, fleet)
  say(describe(fleet))
  const check = () => {
    for (const { failure } of nodes) if (failure !== undefined) throw new Error(failure)
  }
  const recoveries = await torment(ground, check)
  isPassed = await judge(fleet)
  check()
  printTable(recoveries)
} catch (error) {
  isPassed = false
  console.error(error instanceof Error ? error.message : String(error))
} finally {
  await fleet.leave()
  await Promise.all(nodes.map((node) => node.end("SIGTERM")))
  await services.stop()
  await reaper.finish()
}
process.exitCode = isPassed ? 0 : 1
