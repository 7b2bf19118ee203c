/**
 * `npm run bench:page`: what the page costs. The embedded server with 10,000 clients connected and some of them busy,
 * with a page open and without, in turn (ABBA, so that what drifts weighs on both alike).
 *
 * A page is its stream of pictures, read as fast as it comes: what a browser draws of it costs the machine of whoever
 * looks. Beside results per second it counts the server's processor time per result, which other work on this machine
 * hardly touches. `--blocks 10`, `--clients 10000`.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { connect, type LoadClient, quantile, sleep } from "./Load.ts"
import { startNimbus } from "./Processes.ts"

const options = parseArgs({
  options: { blocks: { type: "string", default: "10" }, clients: { type: "string", default: "10000" } },
}).values
const [blocks, idleClients] = [Number(options.blocks), Number(options.clients)]

const port = 3900
const busyClients = 20
const underWay = 64
const at_once = 50
const warm_up_ms = 5_000
const settle_ms = 1_000
const window_ms = 4_000
const resamples = 10_000
/** Of the kernel's clock, in which it tells what processor time a process took. */
const ticks_per_s = 100

interface Window {
  readonly results_per_s: number
  readonly cpu_us_per_result: number
}

interface Watching {
  readonly bytes: number
  readonly pictures: number
  readonly ms: number
}

const nimbus = await startNimbus(port)

/** Reads pictures until `stop`. */
const watch = async (until: AbortSignal): Promise<Watching> => {
  const from = performance.now()
  let [bytes, pictures] = [0, 0]
  try {
    const response = await fetch(`${nimbus.base}/v1/admin/pictures`, { signal: until })
    if (!response.ok || response.body === null) throw new Error(`pictures were answered ${response.status}`)
    for await (const chunk of response.body) {
      bytes += chunk.length
      pictures += chunk.filter((byte: number) => byte === 10).length
    }
  } catch (error) {
    if (!until.aborted) throw error
  }
  return { bytes, pictures, ms: performance.now() - from }
}

const cpu_us = (): number => {
  const fields = readFileSync(`/proc/${nimbus.pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticks_per_s
}

const measure = async (busy: ReadonlyArray<LoadClient>): Promise<Window> => {
  const count = () => busy.reduce((sum, { received }) => sum + received, 0)
  await sleep(settle_ms)
  const [results, cpu, from] = [count(), cpu_us(), performance.now()]
  await sleep(window_ms)
  const took = count() - results
  return {
    results_per_s: (took * 1000) / (performance.now() - from),
    cpu_us_per_result: (cpu_us() - cpu) / took,
  }
}

/** The median, and where it lies with a likelihood of 95 %, by drawing the sample anew. */
const medianOf = (sample: ReadonlyArray<number>) => {
  const draw = () =>
    quantile(
      Array.from(sample, () => sample[Math.floor(Math.random() * sample.length)]!),
      0.5,
    )
  const medians = Array.from({ length: resamples }, draw)
  return { median: quantile(sample, 0.5), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

const percent = (ratio: number) => `${((ratio - 1) * 100).toFixed(2)} %`
const told = (sample: ReadonlyArray<number>) => {
  const { high, low, median } = medianOf(sample)
  return `${percent(median)} (95 %: ${percent(low)} to ${percent(high)})`
}

console.error(`connecting ${idleClients} clients …`)
for (let i = 0; i < idleClients; i += at_once) {
  await Promise.all(
    Array.from({ length: Math.min(at_once, idleClients - i) }, (_, j) =>
      connect({ server: nimbus.server, clientId: `idle-${i + j}`, underWay: 0 }),
    ),
  )
}
const alone = await watch(AbortSignal.timeout(10_000))
console.error(`nobody busy: ${Math.round((alone.bytes * 1000) / alone.ms)} bytes/s, ${alone.pictures} pictures in 10 s`)

const busy = await Promise.all(
  Array.from({ length: busyClients }, (_, i) => connect({ server: nimbus.server, clientId: `busy-${i}`, underWay })),
)
await sleep(warm_up_ms)

const [throughput, cpu] = [new Array<number>(), new Array<number>()]
const watched: Array<Watching> = []
for (let block = 0; block < blocks; block++) {
  const without = [await measure(busy)]
  const over = new AbortController()
  const watching = watch(over.signal)
  const open = [await measure(busy), await measure(busy)]
  over.abort()
  watched.push(await watching)
  without.push(await measure(busy))
  const mean = (windows: ReadonlyArray<Window>, of: keyof Window) =>
    windows.reduce((sum, window) => sum + window[of], 0) / windows.length
  throughput.push(mean(open, "results_per_s") / mean(without, "results_per_s"))
  cpu.push(mean(open, "cpu_us_per_result") / mean(without, "cpu_us_per_result"))
  console.error(
    `block ${block + 1}: ${Math.round(mean(without, "results_per_s"))}/s without, ` +
      `${Math.round(mean(open, "results_per_s"))}/s with; processor time ${percent(cpu.at(-1)!)}`,
  )
}
const total = (of: keyof Watching) => watched.reduce((sum, watching) => sum + watching[of], 0)
console.log(`clients connected                  ${idleClients + busyClients}`)
console.log(`stream of pictures                 ${Math.round((total("bytes") * 1000) / total("ms"))} bytes/s`)
console.log(`one picture                        ${Math.round(total("bytes") / total("pictures"))} bytes`)
console.log(`results/s, with a page / without   ${told(throughput)}`)
console.log(`processor time per result          ${told(cpu)}`)
await nimbus.stop()
process.exit(0)
