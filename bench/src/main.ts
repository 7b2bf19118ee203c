/**
 * `npm run bench`: the embedded server beside a raw `ws` echo server, in one run on this machine, load generator
 * included. Absolute figures are this machine's; the ratios are what to compare.
 */
import { idleMemory, connectToLive, latency, live, replay } from "./Scenarios.ts"
import { startEcho, startNimbus } from "./Processes.ts"

const port = 3900
const partitions = Number(process.env["NIMBUS_PARTITIONS"] ?? 4)
const rows: Array<{ readonly what: string; readonly nimbus: string; readonly echo: string; readonly ratio: string }> =
  []

const rate = (n: number) => `${Math.round(n).toLocaleString("en")}/s`
const ms = ([p50, p99]: readonly [number, number]) => `${p50.toFixed(2)} / ${p99.toFixed(2)} ms`
const kb = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`

const row = (what: string, nimbus: string, echo = "", ratio = Number.NaN) => {
  rows.push({ what, nimbus, echo, ratio: Number.isNaN(ratio) ? "" : ratio.toFixed(2) })
  console.error(`${what}: ${nimbus}${echo === "" ? "" : ` (raw echo ${echo})`}`)
}

const echo = await startEcho(port + 1)
const nimbus = await startNimbus(port, { NIMBUS_PARTITIONS: `${partitions}` })

for (const [clients, underWay] of [
  [1, 512],
  [100, 64],
] as const) {
  const ours = await live(nimbus.server, clients, underWay)
  const raw = await live(echo.server, clients, underWay)
  row(`live results, ${clients} client${clients === 1 ? "" : "s"}`, rate(ours), rate(raw), ours / raw)
}
const [ours, raw] = [await latency(nimbus.server, 200), await latency(echo.server, 200)]
row("end to end at 200 events/s, p50 / p99", ms(ours), ms(raw), ours[0] / raw[0])
row("connect to LIVE, p50 / p99 of 1,000", ms(await connectToLive(nimbus.server, 1_000)))
row("replay to one client, backlog of 100,000", rate(await replay(nimbus, 100_000, partitions)))
await Promise.all([nimbus.stop(), echo.stop()])

// Memory is read from fresh processes, which have kept nothing from other measurements.
const [idleEcho, idleNimbus] = [await startEcho(port + 1), await startNimbus(port)]
const [idle, rawIdle] = [await idleMemory(idleNimbus, 5_000), await idleMemory(idleEcho, 5_000)]
row("resident memory per idle connection, 5,000 of them", kb(idle), kb(rawIdle), idle / rawIdle)
await Promise.all([idleNimbus.stop(), idleEcho.stop()])

console.table(rows)
