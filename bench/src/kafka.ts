/**
 * `npm run bench:kafka`: a gateway and a pipeline on real Kafka and Redis, beside raw kafkajs on the same broker, in one
 * run on this machine, with all processes and the load generator on it. Absolute figures are this machine's; the ratios
 * are what to compare. Scenarios can be named: `npm run bench:kafka -- live replay`.
 */
import { loadavg } from "node:os"
import { startServices } from "../../scripts/services/Services.ts"
import { type Cluster, startCluster } from "./Processes.ts"
import { openRawKafka, type RawKafka } from "./Raw.ts"
import { besideReplay, connectToLive, connectUnderTraffic, latency, live, replay, resultsLeg } from "./Scenarios.ts"

const partitions = Number(process.env["NIMBUS_PARTITIONS"] ?? 4)
const backlog = 100_000
const raw_records = 400_000
const rows: Array<{
  readonly what: string
  readonly nimbus: string
  readonly kafkajs: string
  readonly ratio: string
}> = []

const rate = (n: number) => `${Math.round(n).toLocaleString("en")}/s`
const ms = ([p50, p99]: readonly [number, number]) => `${p50.toFixed(2)} / ${p99.toFixed(2)} ms`

const row = (what: string, nimbus: string, kafkajs = "", ratio = Number.NaN) => {
  rows.push({ what, nimbus, kafkajs, ratio: Number.isNaN(ratio) ? "" : ratio.toFixed(3) })
  console.error(`${what}: ${nimbus}${kafkajs === "" ? "" : ` (raw kafkajs ${kafkajs})`}`)
}

const rateRow = async (what: string, ours: number, raw: RawKafka) => {
  const theirs = await raw.throughput(raw_records)
  row(what, rate(ours), rate(theirs), ours / theirs)
}

const scenarios: Readonly<Record<string, (cluster: Cluster, raw: RawKafka) => Promise<void>>> = {
  live: async (cluster, raw) =>
    rateRow("live results, whole loop, 100 clients", await live(cluster.server, 100, 64), raw),
  latency: async (cluster, raw) => {
    const [ours, theirs] = [await latency(cluster.server, 200), await raw.latency(200)]
    row("end to end at 200 events/s, p50 / p99", ms(ours), ms(theirs), ours[0] / theirs[0])
  },
  connect: async (cluster) => {
    row("connect to LIVE, p50 / p99 of 300", ms(await connectToLive(cluster.server, 300)))
    row("connect to LIVE under traffic to that client, p50 / p99 of 100", ms(await connectUnderTraffic(cluster, 100)))
  },
  beside: async (cluster) => {
    const { alone, busy, flatOut, paced } = await besideReplay(cluster, backlog, partitions)
    row("live client at 200 events/s, its partition quiet, p50 / p99", ms(alone))
    row("the same while another's 100,000 results replay there at 20,000/s, p50 / p99", ms(paced))
    row("the same while they replay as fast as they can, p50 / p99", ms(flatOut))
    row("the same with no replay, but a thread that never rests on every core, p50 / p99", ms(busy))
  },
  replay: async (cluster, raw) =>
    rateRow(
      `replay to one client, backlog of 100,000, from ${cluster.mailbox}`,
      await replay(cluster, backlog, partitions),
      raw,
    ),
  leg: async (cluster, raw) =>
    rateRow("results topic to 100 live clients", await resultsLeg(cluster, 100, 3 * backlog), raw),
}

/** On services of their own, which know nothing of other measurements. */
const measure = async (mailbox: Cluster["mailbox"], names: ReadonlyArray<string>) => {
  const services = await startServices(mailbox === "postgres" ? ["kafka", "redis", "postgres"] : ["kafka", "redis"])
  try {
    const cluster = await startCluster(mailbox, { ...services.environment, NIMBUS_PARTITIONS: `${partitions}` })
    const raw = await openRawKafka(services.environment["NIMBUS_KAFKA_BROKERS"] ?? "", partitions)
    // Code is compiled when it has run for a while: ours, like kafkajs above, is measured after that.
    await live(cluster.server, 10, 64)
    for (const name of names) await scenarios[name]?.(cluster, raw)
    await raw.close()
    await cluster.stop()
  } finally {
    await services.stop()
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

const named = process.argv.slice(2)
const unknown = named.filter((name) => name !== "postgres" && scenarios[name] === undefined)
if (unknown.length > 0)
  throw new Error(`no scenario ${unknown.join(", ")}: there are ${Object.keys(scenarios).join(", ")}, postgres`)
const wanted = named.length === 0 ? [...Object.keys(scenarios), "postgres"] : named

console.error(
  `load average before: ${loadavg()
    .map((n) => n.toFixed(2))
    .join(" ")}`,
)
const onRedis = wanted.filter((name) => name !== "postgres")
if (onRedis.length > 0) await measure("redis", onRedis)
if (wanted.includes("postgres")) await measure("postgres", ["replay"])
console.table(rows)
