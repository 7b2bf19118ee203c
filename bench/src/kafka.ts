/**
 * `npm run bench:kafka`: a gateway and a pipeline on real Kafka and Redis, beside raw kafkajs on the same broker, in one
 * run on this machine, with all processes and the load generator on it. Each figure is the median of three with its range.
 * Absolute figures are this machine's; the ratios are what to compare. Scenarios can be named: `npm run bench:kafka -- live replay`.
 */
import { type Figure, inTurn, milliseconds, perSecond, ratioOf, tellLoad, type Unit, worded } from "./Figures.ts"
import { startServices } from "../../scripts/services/Services.ts"
import { type Cluster, startCluster } from "./Processes.ts"
import { openRawKafka, type RawKafka } from "./Raw.ts"
import { besideReplay, connectToLive, connectUnderTraffic, latency, live, replay, resultsLeg } from "./Scenarios.ts"

const partitions = Number(process.env["NIMBUS_PARTITIONS"] ?? 4)
const backlog = 100_000
const raw_records = 400_000
const rows: Array<Readonly<Record<string, string>>> = []

const row = (what: string, unit: Unit, [nimbus = [], kafkajs = []]: ReadonlyArray<ReadonlyArray<Figure>>) => {
  const told = {
    what,
    nimbus: worded(nimbus, unit),
    kafkajs: worded(kafkajs, unit),
    ratio: ratioOf(nimbus, kafkajs),
  }
  rows.push(told)
  console.error(JSON.stringify(told))
}

/** Beside kafkajs alone. */
const rateRow = async (what: string, ours: () => Promise<number>, raw: RawKafka) =>
  row(what, perSecond, await inTurn([async () => [await ours()], async () => [await raw.throughput(raw_records)]]))

const timesRow = async (what: string, ...measures: Parameters<typeof inTurn>[0]) =>
  row(what, milliseconds, await inTurn(measures))

const scenarios: Readonly<Record<string, (cluster: Cluster, raw: RawKafka) => Promise<void>>> = {
  live: (cluster, raw) => rateRow("live results, whole loop, 100 clients", () => live(cluster.server, 100, 64), raw),
  latency: (cluster, raw) =>
    timesRow(
      "end to end at 200 events/s, p50 / p99",
      () => latency(cluster.server, 200),
      () => raw.latency(200),
    ),
  connect: async (cluster) => {
    await timesRow("connect to LIVE, p50 / p99 of 300", () => connectToLive(cluster.server, 300))
    await timesRow("connect to LIVE under traffic of 100/s to that client, p50 / p99 of 50", () =>
      connectUnderTraffic(cluster, 50),
    )
  },
  beside: async (cluster) => {
    const [figures = []] = await inTurn([
      async () => {
        const { alone, busy, flatOut, paced } = await besideReplay(cluster, backlog, partitions)
        return [alone, paced, flatOut, busy].flat()
      },
    ])
    const what = [
      "live client at 200 events/s, its partition quiet, p50 / p99",
      "the same while another's 100,000 results replay there at 20,000/s, p50 / p99",
      "the same while they replay as fast as they can, p50 / p99",
      "the same with no replay, but a thread that never rests on every core, p50 / p99",
    ]
    for (const [i, one] of what.entries()) row(one, milliseconds, [figures.slice(2 * i, 2 * i + 2)])
  },
  replay: (cluster, raw) =>
    rateRow(
      `replay to one client, backlog of 100,000, from ${cluster.mailbox}`,
      () => replay(cluster, backlog, partitions),
      raw,
    ),
  leg: (cluster, raw) => rateRow("results topic to 100 live clients", () => resultsLeg(cluster, 100, 3 * backlog), raw),
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

tellLoad("before")
const onRedis = wanted.filter((name) => name !== "postgres")
if (onRedis.length > 0) await measure("redis", onRedis)
if (wanted.includes("postgres")) await measure("postgres", ["replay"])
tellLoad("after")
console.table(rows)
