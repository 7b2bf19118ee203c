/**
 * `npm run bench`: the embedded server as `npm start` has it, with its archive, beside the same without an archive and a
 * raw `ws` echo server: in turn, in one run on this machine, load generator included. Each figure is the median of three
 * with its range. Absolute figures are this machine's; the ratios are what to compare. Scenarios can be named:
 * `npm run bench -- live memory`.
 */
import { gatewayLimits } from "@nimbus/gateway"
import { type Figure, inTurn, kilobytes, type Measured, milliseconds, perSecond, ratioOf, tellLoad } from "./Figures.ts"
import { type Unit, worded } from "./Figures.ts"
import { ideal_per_second } from "./Io.ts"
import { sleep } from "./Load.ts"
import { type Running, startEcho, startHandlers, startNimbus } from "./Processes.ts"
import { connectToLive, connectUnderTraffic, idleMemory, latency, live, replay } from "./Scenarios.ts"

const port = 3900
const partitions = 4
const backlog = 100_000
const idle_connections = 10_000
const io_clients = 40
const io_measure_ms = 10_000

interface Parts {
  /** What `npm start` ships. */
  readonly shipped: Running
  readonly withoutArchive: Running
  readonly echo: Running
}

interface Scenario {
  readonly what: string
  readonly unit: Unit
  readonly measure: (running: Running) => Promise<Measured>
  /** Whether the echo server can do it too. */
  readonly echoes: boolean
  /** What the server's own bounds let through: a figure close to it is the bound's. */
  readonly limit?: number
}

const rows: Array<Readonly<Record<string, string>>> = []

const row = (
  { limit = Number.POSITIVE_INFINITY, unit, what }: Pick<Scenario, "what" | "unit" | "limit">,
  figures: ReadonlyArray<ReadonlyArray<Figure>>,
) => {
  const [shipped = [], withoutArchive = [], echo = []] = figures
  const ours = (some: ReadonlyArray<Figure>) =>
    some.some(({ high }) => high > limit * near) ? `${worded(some, unit)}, which is its limit` : worded(some, unit)
  const told = {
    what,
    "npm start": ours(shipped),
    "without archive": ours(withoutArchive),
    "raw ws echo": worded(echo, unit),
    "npm start / echo": ratioOf(shipped, echo),
  }
  rows.push(told)
  console.error(
    Object.entries(told)
      .map(([key, value]) => `${key}: ${value}`)
      .join("; "),
  )
}

const near = 0.95

const liveWith = (clients: number, underWay: number): Scenario => ({
  what: `live results, ${clients.toLocaleString("en")} clients, ${underWay} events under way each`,
  unit: perSecond,
  measure: async ({ server }) => [await live(server, clients, underWay)],
  echoes: true,
  limit: clients * gatewayLimits.events_per_second,
})

const latencyAt = (per_second: number): Scenario => ({
  what: `end to end at ${per_second.toLocaleString("en")} events/s, p50 / p99`,
  unit: milliseconds,
  measure: ({ server }) => latency(server, per_second),
  echoes: true,
})

const scenarios: Readonly<Record<string, ReadonlyArray<Scenario>>> = {
  live: [liveWith(1, 512), liveWith(100, 64), liveWith(1_000, 8), liveWith(4_000, 4)],
  latency: [latencyAt(200), latencyAt(2_000)],
  connect: [
    {
      what: "connect to LIVE, p50 / p99 of 1,000",
      unit: milliseconds,
      measure: ({ server }) => connectToLive(server, 1_000),
      echoes: false,
    },
    {
      what: "connect to LIVE under traffic of 100/s to that client, p50 / p99 of 50",
      unit: milliseconds,
      measure: (running) => connectUnderTraffic(running, 50),
      echoes: false,
    },
  ],
  replay: [
    {
      what: "replay to one client, backlog of 100,000",
      unit: perSecond,
      measure: async (running) => [await replay(running, backlog, partitions)],
      echoes: false,
    },
  ],
}

/** Until the archive has what there is: what it still writes would slow down what is measured next. */
const archiveIsDone = async ({ base }: Running): Promise<void> => {
  for (;;) {
    const metrics = await (await fetch(`${base}/metrics`)).text()
    const lags = [...metrics.matchAll(/^nimbus_archive_lag_records\{.*\} (\S+)$/gm)].map(([, lag]) => Number(lag))
    if (lags.every((lag) => lag === 0)) return
    await sleep(250)
  }
}

const measure = async (scenario: Scenario, { echo, shipped, withoutArchive }: Parts): Promise<void> => {
  const one = (running: Running) => async () => {
    await archiveIsDone(shipped)
    return scenario.measure(running)
  }
  const running = [shipped, withoutArchive, ...(scenario.echoes ? [echo] : [])]
  row(scenario, await inTurn(running.map(one)))
}

/** Of processes that have just started, each time. */
const measureMemory = async (): Promise<void> => {
  const one = (start: () => Promise<Running>) => async () => {
    const running = await start()
    const bytes = await idleMemory(running, idle_connections)
    await running.stop()
    return [bytes / 1024]
  }
  const figures = await inTurn([
    one(() => startNimbus(port)),
    one(() => startNimbus(port, { NIMBUS_STORAGE: "none" })),
    one(() => startEcho(port)),
  ])
  const what = `resident memory per idle connection, ${idle_connections.toLocaleString("en")} of them`
  row({ what, unit: kilobytes }, figures)
}

/** What is ideal is no server's: all of it is what the handlers take. */
const measureHandlers = async (): Promise<void> => {
  const running = [await startHandlers(port), await startHandlers(port + 1, { NIMBUS_STORAGE: "none" })]
  const options = { name: "io", measure_ms: io_measure_ms }
  const figures = await inTurn(
    running.map(({ server }) => async () => [await live(server, io_clients, 1, options)]),
  )
  const ideal = ideal_per_second(io_clients)
  const what = `handlers of 5 to 50 ms, 1 in 100: 1 s; ${io_clients} clients, one event each; ideal ${Math.round(ideal)}/s`
  row({ what, unit: perSecond }, figures)
  console.error(`of the ideal: ${figures.map(([figure]) => ((figure?.median ?? 0) / ideal).toFixed(3)).join(" and ")}`)
  for (const one of running) await one.stop()
}

const alone: Readonly<Record<string, () => Promise<void>>> = { handlers: measureHandlers, memory: measureMemory }
const known = [...Object.keys(scenarios), ...Object.keys(alone)]
const named = process.argv.slice(2)
const unknown = named.filter((name) => !known.includes(name))
if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(", ")}: there are ${known.join(", ")}`)
const isWanted = (name: string) => named.length === 0 || named.includes(name)

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
tellLoad("before")
const together = Object.entries(scenarios).filter(([name]) => isWanted(name))
if (together.length > 0) {
  const parts: Parts = {
    shipped: await startNimbus(port),
    withoutArchive: await startNimbus(port + 1, { NIMBUS_STORAGE: "none" }),
    echo: await startEcho(port + 2),
  }
  // Code is compiled when it has run for a while: all are measured after that.
  for (const { server } of Object.values<Running>({ ...parts })) await live(server, 10, 64)
  for (const scenario of together.flatMap(([, some]) => some)) await measure(scenario, parts)
  await Promise.all(Object.values<Running>({ ...parts }).map((running) => running.stop()))
}
for (const [name, run] of Object.entries(alone)) if (isWanted(name)) await run()
tellLoad("after")
console.table(rows)
