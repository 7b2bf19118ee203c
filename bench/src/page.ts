/**
 * `npm run bench:page`: what the page costs. The embedded server with 10,000 clients connected and some of them busy,
 * with a page open and without, in turn (ABBA, so that what drifts weighs on both alike).
 *
 * A page is its stream of pictures, read as fast as it comes: what a browser draws of it costs the machine of whoever
 * looks. Beside results per second it counts the server's processor time per result, which other work on this machine
 * hardly touches. `--blocks 40`, `--clients 10000`.
 */
import { parseArgs } from "node:util"
import { connect, type LoadClient, quantile, sleep } from "./Load.ts"
import { startNimbus, unlimited } from "./Processes.ts"
import { cpu_us, mean, medianOf, percent, told } from "./Turns.ts"

const options = parseArgs({
  options: { blocks: { type: "string", default: "40" }, clients: { type: "string", default: "10000" } },
}).values
const [blocks, idleClients] = [Number(options.blocks), Number(options.clients)]

const port = 3900
const idleBlocks = 10
const busyClients = 20
const underWay = 64
const at_once = 50
const warm_up_ms = 5_000
const settle_ms = 500
const window_ms = 2_000

interface Window {
  readonly results_per_s: number
  readonly cpu_us_per_result: number
}

interface Watching {
  readonly bytes: number
  readonly snapshots: number
  readonly ms: number
}

const nimbus = await startNimbus(port, { NIMBUS_EVENTS_PER_SECOND: unlimited })

/** Reads pictures until `stop`. */
const watch = async (until: AbortSignal): Promise<Watching> => {
  const from = performance.now()
  let [bytes, snapshots] = [0, 0]
  try {
    const response = await fetch(`${nimbus.base}/v1/admin/pictures`, { signal: until })
    if (!response.ok || response.body === null) throw new Error(`snapshots were answered ${response.status}`)
    for await (const chunk of response.body) {
      bytes += chunk.length
      snapshots += chunk.filter((byte: number) => byte === 10).length
    }
  } catch (error) {
    if (!until.aborted) throw error
  }
  return { bytes, snapshots, ms: performance.now() - from }
}

const watched: Array<Watching> = []
const whileWatched = async (f: () => Promise<void>): Promise<void> => {
  const over = new AbortController()
  const watching = watch(over.signal)
  await f()
  over.abort()
  watched.push(await watching)
}

const measure = async (busy: ReadonlyArray<LoadClient>): Promise<Window> => {
  const count = () => busy.reduce((sum, { received }) => sum + received, 0)
  await sleep(settle_ms)
  const [results, cpu, from] = [count(), cpu_us(nimbus.pid), performance.now()]
  await sleep(window_ms)
  const took = count() - results
  return {
    results_per_s: (took * 1000) / (performance.now() - from),
    cpu_us_per_result: (cpu_us(nimbus.pid) - cpu) / took,
  }
}

console.error(`connecting ${idleClients} clients …`)
for (let i = 0; i < idleClients; i += at_once) {
  await Promise.all(
    Array.from({ length: Math.min(at_once, idleClients - i) }, (_, j) =>
      connect({ server: nimbus.server, clientId: `idle-${i + j}`, underWay: 0 }),
    ),
  )
}

/** The processor time that an otherwise idle server takes, in ms per second. */
const idle = async (): Promise<number> => {
  await sleep(settle_ms)
  const [cpu, from] = [cpu_us(nimbus.pid), performance.now()]
  await sleep(window_ms)
  return (cpu_us(nimbus.pid) - cpu) / (performance.now() - from)
}
const [idleWithout, idleWith] = [new Array<number>(), new Array<number>()]
for (let block = 0; block < idleBlocks; block++) {
  idleWithout.push(await idle())
  await whileWatched(async () => void idleWith.push(await idle(), await idle()))
  idleWithout.push(await idle())
}
const difference = medianOf(idleWith.map((ms, i) => ms - idleWithout[i]!))
console.error(`idle: ${quantile(idleWithout, 0.5)} ms/s without, ${quantile(idleWith, 0.5)} ms/s with`)

const busy = await Promise.all(
  Array.from({ length: busyClients }, (_, i) => connect({ server: nimbus.server, clientId: `busy-${i}`, underWay })),
)
await sleep(warm_up_ms)

const [throughput, cpu] = [new Array<number>(), new Array<number>()]
for (let block = 0; block < blocks; block++) {
  const without = [await measure(busy)]
  const open: Array<Window> = []
  await whileWatched(async () => void open.push(await measure(busy), await measure(busy)))
  without.push(await measure(busy))
  const of = (windows: ReadonlyArray<Window>, name: keyof Window) => mean(windows.map((window) => window[name]))
  throughput.push(of(open, "results_per_s") / of(without, "results_per_s"))
  cpu.push(of(open, "cpu_us_per_result") / of(without, "cpu_us_per_result"))
  console.error(
    `block ${block + 1}: ${Math.round(of(without, "results_per_s"))}/s without, ` +
      `${Math.round(of(open, "results_per_s"))}/s with; processor time ${percent(cpu.at(-1)!)}`,
  )
}
const total = (of: keyof Watching) => watched.reduce((sum, watching) => sum + watching[of], 0)
console.log(`clients connected                  ${idleClients + busyClients}`)
console.log(`stream of snapshots                 ${Math.round((total("bytes") * 1000) / total("ms"))} bytes/s`)
console.log(`one snapshot                        ${Math.round(total("bytes") / total("snapshots"))} bytes`)
console.log(
  `an idle server, with a page        ${difference.median.toFixed(1)} ms of processor time per second more ` +
    `(95 %: ${difference.low.toFixed(1)} to ${difference.high.toFixed(1)})`,
)
console.log(`results/s, with a page / without   ${told(throughput)}`)
console.log(`processor time per result          ${told(cpu)}`)
await nimbus.stop()
process.exit(0)
