/**
 * `npm run bench:grpc`: the gRPC transport beside the WebSocket transport and beside bare echo servers, in one run on
 * this machine, load generator included. `-- libraries`: the echo servers alone, of each library, and what readers that
 * stall cost them.
 *
 * All clients are as cheap as they can be, and the same for a transport and its echo servers. A gRPC client
 * acknowledges nothing itself: the gateway's PINGs do; a WebSocket client acknowledges each frame.
 */
import { inTurn, perSecond, worded } from "../Figures.ts"
import { sleep } from "../Load.ts"
import { type Running, startEcho, startNimbus, unlimited } from "../Processes.ts"
import { fill, live, pipelineIsEmpty, replay } from "../Scenarios.ts"
import { connectGrpc } from "./GrpcLoad.ts"
import { libraries, stalled, startGrpcEcho } from "./Libraries.ts"

const port = 3940
const grpcPort = port + 1
const partitions = 4
const backlog = 100_000
const warm_up_ms = 2_000
const measure_ms = 4_000
/** Each measurement has clients of its own. */
let runs = 0

/** Messages per second that come back to `clients` clients, each with `underWay` events on their way. */
const liveGrpc = async (port: number, clients: number, underWay: number): Promise<number> => {
  const run = `live-grpc-${runs++}`
  const all = await Promise.all(
    Array.from({ length: clients }, (_, i) => connectGrpc({ port, clientId: `${run}-${i}`, underWay })),
  )
  await sleep(warm_up_ms)
  const count = () => all.reduce((sum, { received }) => sum + received, 0)
  const [before, from] = [count(), performance.now()]
  await sleep(measure_ms)
  const rate = ((count() - before) / (performance.now() - from)) * 1000
  for (const client of all) client.close()
  return rate
}

/** Results per second of one client that finds a backlog. */
const replayGrpc = async ({ base, server }: Running): Promise<number> => {
  const clientId = `replay-grpc-${runs++}`
  await fill(base, clientId, backlog)
  await pipelineIsEmpty(server, clientId, partitions)
  const from = performance.now()
  const client = await connectGrpc({ port: grpcPort, clientId, underWay: 0 })
  while (client.received < backlog) await sleep(1)
  const rate = (backlog / (performance.now() - from)) * 1000
  client.close()
  return rate
}

const rows: Array<Readonly<Record<string, string>>> = []
const rate = (n: number) => `${Math.round(n).toLocaleString("en")}/s`

/** Measures all of them in turn. */
const row = async (what: string, measures: Readonly<Record<string, () => Promise<number>>>) => {
  const figures = await inTurn(Object.values(measures).map((measure) => async () => [await measure()]))
  const told = Object.keys(measures).map((name, i) => [name, worded(figures[i] ?? [], perSecond)])
  rows.push({ what, ...Object.fromEntries(told) })
  console.error(JSON.stringify(rows.at(-1)))
}

const transports = async (): Promise<void> => {
  const wsEcho = await startEcho(port + 2)
  const echoes = { connect: await startGrpcEcho("connect"), http2: await startGrpcEcho("http2") }
  const nimbus = await startNimbus(port, {
    NIMBUS_PORT: `${grpcPort}`,
    NIMBUS_PARTITIONS: `${partitions}`,
    NIMBUS_STORAGE: "none",
    NIMBUS_EVENTS_PER_SECOND: unlimited,
  })

  for (const [clients, underWay] of [
    [1, 512],
    [100, 64],
  ] as const) {
    await row(`live, ${clients} client${clients === 1 ? "" : "s"}`, {
      "gRPC transport": () => liveGrpc(grpcPort, clients, underWay),
      "WebSocket transport": () => live(nimbus.server, clients, underWay),
      "echo on Node's http2": () => liveGrpc(echoes.http2.port, clients, underWay),
      "echo on Connect": () => liveGrpc(echoes.connect.port, clients, underWay),
      "echo on ws": () => live(wsEcho.server, clients, underWay),
    })
  }
  await row(`replay of ${backlog.toLocaleString("en")}`, {
    "gRPC transport": () => replayGrpc(nimbus),
    "WebSocket transport": () => replay(nimbus, backlog, partitions),
  })
  await Promise.all([nimbus.stop(), wsEcho.stop(), echoes.connect.stop(), echoes.http2.stop()])
  console.table(rows)
}

const compareLibraries = async (): Promise<void> => {
  const table = []
  for (const library of libraries) {
    const server = await startGrpcEcho(library)
    const one = rate(await liveGrpc(server.port, 1, 512))
    const hundred = rate(await liveGrpc(server.port, 100, 64))
    table.push({
      library,
      "1 client": one,
      "100 clients": hundred,
      "grows with 100 stalled readers": `${Math.round(await stalled(server))} MiB`,
    })
    await server.stop()
  }
  console.table(table)
}

await (process.argv.includes("libraries") ? compareLibraries() : transports())
process.exit(0)
