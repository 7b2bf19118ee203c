/**
 * `npm run bench:observability`: what journeys and traces cost. Two embedded servers, one with neither and one as it is
 * by default with an exporter of traces besides, under the same load in turn (ABBA, so that what drifts weighs on both
 * alike). A receiver in this process takes the traces.
 *
 * Beside results per second it counts the server's processor time per result, which other work on this machine hardly
 * touches. `--blocks 16`; `--all`: every event asks for its journey, which is what it costs at most.
 */
import { createServer } from "node:http"
import { parseArgs } from "node:util"
import { connect, type Server, sleep } from "./Load.ts"
import { type Running, startNimbus, unlimited } from "./Processes.ts"
import { cpu_us, mean, percent, told } from "./Turns.ts"

const options = parseArgs({
  options: { blocks: { type: "string", default: "16" }, all: { type: "boolean", default: false } },
}).values
const blocks = Number(options.blocks)

const busyClients = 20
const underWay = 64
const warm_up_ms = 10_000
const settle_ms = 1_000
const window_ms = 3_000

interface Window {
  readonly results_per_s: number
  readonly cpu_us_per_result: number
}

/** Counts what it takes, and reads none of it. */
const startReceiver = async (port: number) => {
  const took = { requests: 0, bytes: 0 }
  const server = createServer((request, response) => {
    request.on("data", (part: Buffer) => (took.bytes += part.length))
    request.on("end", () => {
      took.requests++
      response.end("{}")
    })
  })
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
  return { took, url: `http://127.0.0.1:${port}` }
}

let rounds = 0

/** New clients, so that nothing waits for them. */
const measure = async ({ pid, server }: Running, of: Server = server, settle = settle_ms): Promise<Window> => {
  const round = rounds++
  const busy = await Promise.all(
    Array.from({ length: busyClients }, (_, i) => connect({ server: of, clientId: `busy-${round}-${i}`, underWay })),
  )
  const count = () => busy.reduce((sum, { received }) => sum + received, 0)
  await sleep(settle)
  const [results, cpu, from] = [count(), cpu_us(pid), performance.now()]
  await sleep(window_ms)
  const took = count() - results
  const window = {
    results_per_s: (took * 1000) / (performance.now() - from),
    cpu_us_per_result: (cpu_us(pid) - cpu) / took,
  }
  for (const client of busy) client.terminate()
  return window
}

const receiver = await startReceiver(3912)
const off = await startNimbus(3910, { NIMBUS_JOURNEYS_PER_SECOND: "0", NIMBUS_EVENTS_PER_SECOND: unlimited })
const on = await startNimbus(3911, { NIMBUS_OTLP_URL: receiver.url, NIMBUS_EVENTS_PER_SECOND: unlimited })
const sampled: Server = options.all
  ? { ...on.server, url: (clientId) => `${on.server.url(clientId)}&journey=true` }
  : on.server

await measure(off, off.server, warm_up_ms)
await measure(on, sampled, warm_up_ms)
const [throughput, cpu] = [new Array<number>(), new Array<number>()]
for (let block = 0; block < blocks; block++) {
  const a = [await measure(off)]
  const b = [await measure(on, sampled), await measure(on, sampled)]
  a.push(await measure(off))
  const of = (windows: ReadonlyArray<Window>, name: keyof Window) => mean(windows.map((window) => window[name]))
  throughput.push(of(b, "results_per_s") / of(a, "results_per_s"))
  cpu.push(of(b, "cpu_us_per_result") / of(a, "cpu_us_per_result"))
  console.error(
    `block ${block + 1}: ${Math.round(of(a, "results_per_s"))}/s off, ${Math.round(of(b, "results_per_s"))}/s on; ` +
      `processor time ${percent(cpu.at(-1)!)}`,
  )
}
console.log(`blocks                        ${blocks}`)
console.log(`sampled                       ${options.all ? "every event" : "by default"}`)
console.log(`exported                      ${receiver.took.requests} requests, ${receiver.took.bytes} bytes`)
console.log(`results/s, on / off           ${told(throughput)}`)
console.log(`processor time per result     ${told(cpu)}`)
await Promise.all([on.stop(), off.stop()])
process.exit(0)
