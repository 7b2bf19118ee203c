/**
 * `npm run bench:approaches`: what each approach of NimbusWS costs as clients grow, on real Kafka and Redis: direct
 * delivery (approach 2), routed delivery (approach 3), and a kafkajs consumer for each client, as NimbusWS itself has
 * it. For each: the time until all clients are ready, and then, at the same even load over all of them, what the process
 * that holds the sockets uses. Load generator, pipeline, Kafka and Redis are on this machine too.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { connect } from "node:net"
import { loadavg } from "node:os"
import { partitionOf } from "@nimbus/domain/protocol"
import { Kafka, logLevel, type Producer } from "kafkajs"
import { WebSocket } from "ws"
import { startServices } from "../../scripts/services/Services.ts"
import { freePorts } from "../../scripts/services/Tools.ts"
import { quantile, sleep } from "./Load.ts"
import { type Running, startCluster, startPerClient } from "./Processes.ts"

const partitions = 4
const results_per_second = 500
const load_ms = 5_000
const warm_up_ms = 2_000
const ready_within_ms = 40_000
const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [10, 100, 1_000]

interface Approach {
  readonly name: string
  readonly url: (clientId: string) => string
  readonly holder: Running
}

interface Client {
  isReady: boolean
  readonly ws: WebSocket
}

/** What came, over all clients of a run. */
class Arrived {
  count = 0
  readonly times_ms: Array<number> = []

  result(sent_ms: number): void {
    this.count++
    this.times_ms.push(performance.now() - sent_ms)
  }
}

const open = (url: string, arrived: Arrived): Client => {
  const client: Client = { isReady: false, ws: new WebSocket(url, { perMessageDeflate: false }) }
  client.ws.on("error", () => {})
  client.ws.on("message", (text: Buffer) => {
    const frame = JSON.parse(text.toString())
    if (frame.type === "processed_finished") arrived.result(frame.data.sent)
    if (frame.type === "status" && frame.data === "LIVE") client.isReady = true
  })
  return client
}

/** An even load over all clients, as messages of another service. */
const load = async (producer: Producer, clientIds: ReadonlyArray<string>, for_ms: number): Promise<number> => {
  const from = performance.now()
  let sent = 0
  while (performance.now() - from < for_ms) {
    const due = Math.floor(((performance.now() - from) * results_per_second) / 1000)
    const messages = []
    for (; sent < due; sent++) {
      const key = clientIds[sent % clientIds.length]!
      const value = JSON.stringify({ type: "message", id: `m${sent}`, name: "n", data: { sent: performance.now() } })
      messages.push({ key, value, partition: partitionOf(key, partitions) })
    }
    if (messages.length > 0) await producer.send({ topic: "nimbus-events-v1", messages })
    await sleep(5)
  }
  return sent
}

/** What a process has used so far. */
const usage = (running: Running, brokerPort: number) => {
  const stat = readFileSync(`/proc/${running.pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  const read = /rchar: (\d+)/.exec(readFileSync(`/proc/${running.pid}/io`, "utf8"))?.[1]
  return {
    cpu_ms: (Number(stat[11]) + Number(stat[12])) * 10,
    read_bytes: Number(read),
    rss_bytes: running.rss(),
    connections: connectionsTo(running.pid, brokerPort),
  }
}

/** Established connections of a process to a port. */
const connectionsTo = (pid: number | undefined, port: number): number => {
  const own = new Set<string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      own.add(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? "")
    } catch {
      // Closed meanwhile.
    }
  }
  const hex = port.toString(16).toUpperCase().padStart(4, "0")
  return ["tcp", "tcp6"]
    .flatMap((table) => readFileSync(`/proc/net/${table}`, "utf8").split("\n"))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote, state, , , , , , inode]) => {
      return remote?.endsWith(`:${hex}`) && state === "01" && inode !== undefined && own.has(inode)
    }).length
}

const mb = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`

const measure = async (
  { holder, name, url }: Approach,
  count: number,
  for_ms: number,
  producer: Producer,
  brokerPort: number,
) => {
  const clientIds = Array.from({ length: count }, (_, i) => `${name.replaceAll(" ", "-")}-${count}-${i}`)
  const arrived = new Arrived()
  const empty = usage(holder, brokerPort)
  const from = performance.now()
  const clients = clientIds.map((clientId) => open(url(clientId), arrived))
  const ready = () => clients.filter(({ isReady }) => isReady).length
  while (ready() < count && performance.now() - from < ready_within_ms) await sleep(5)
  const ready_ms = performance.now() - from
  const wasReady = ready()
  const before = usage(holder, brokerPort)
  const begun = performance.now()
  const sent = await load(producer, clientIds, for_ms)
  const due = performance.now() + 3_000
  while (arrived.count < sent && performance.now() < due) await sleep(10)
  const seconds = (performance.now() - begun) / 1000
  const after = usage(holder, brokerPort)
  for (const { ws } of clients) ws.terminate()
  await sleep(500)
  // The first second is for the compiler.
  const times_ms = arrived.times_ms.slice(arrived.times_ms.length / 5)
  const row = {
    approach: name,
    clients: count,
    ready: wasReady === count ? `${(ready_ms / 1000).toFixed(2)} s` : `${wasReady} within ${ready_within_ms / 1000} s`,
    "connections to Kafka": `${empty.connections} to ${after.connections}`,
    "memory more": mb(after.rss_bytes - empty.rss_bytes),
    "CPU of a core": `${((after.cpu_ms - before.cpu_ms) / seconds / 10).toFixed(0)}%`,
    "read for each result": `${((after.read_bytes - before.read_bytes) / Math.max(1, arrived.count)).toFixed(0)} B`,
    "arrived in time": `${((100 * arrived.count) / sent).toFixed(1)}%`,
    "p50 / p99": `${quantile(times_ms, 0.5).toFixed(1)} / ${quantile(times_ms, 0.99).toFixed(1)} ms`,
  }
  console.error(JSON.stringify(row))
  return row
}

/** Without Nagle's delay. */
const socketFactory = ({ host, onConnect, port }: { host: string; port: number; onConnect: () => void }) =>
  connect({ host, port, noDelay: true }, onConnect)

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

console.error(
  `load average before: ${loadavg()
    .map((n) => n.toFixed(2))
    .join(" ")}`,
)
const services = await startServices(["kafka", "redis"])
const rows = []
try {
  const brokers = services.environment["NIMBUS_KAFKA_BROKERS"] ?? ""
  const brokerPort = Number(brokers.split(":")[1])
  const env = { ...services.environment, NIMBUS_PARTITIONS: `${partitions}` }
  const producer = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING, socketFactory }).producer()
  await producer.connect()
  for (const count of counts) {
    const cluster = await startCluster("redis", env)
    const at = (path: string) => (clientId: string) =>
      `${cluster.base.replace("http", "ws")}/${path}?clientId=${clientId}&frames=all`
    const direct = { name: "approach 2", url: at("approach2/events"), holder: cluster }
    const routed = { name: "approach 3", url: at("approach3/events"), holder: cluster }
    // Pipeline and gateway are the same for both, and are not to be cold for the first.
    for (const approach of [direct, routed]) {
      const warm = { ...approach, name: `warm-up of ${approach.name}` }
      await measure(warm, 20, warm_up_ms, producer, brokerPort)
    }
    rows.push(
      await measure(direct, count, load_ms, producer, brokerPort),
      await measure(routed, count, load_ms, producer, brokerPort),
    )
    const [port] = (await freePorts(1)) as [number]
    const perClient = await startPerClient(port, env)
    const url = (clientId: string) => `ws://127.0.0.1:${port}/?clientId=${clientId}`
    rows.push(
      await measure({ name: "consumer per client", url, holder: perClient }, count, load_ms, producer, brokerPort),
    )
    await perClient.stop()
    await cluster.stop()
  }
  await producer.disconnect()
} finally {
  await services.stop()
}
console.table(rows)
