/**
 * What chaos and soak play on: gateways and pipelines on a real Kafka and Redis, clients, and a wire between any two.
 *
 *     clients ─ wire per gateway ─▶ gateways ─ wire per gateway ─▶ Redis ◀─ wire per pipeline ─ pipelines
 *                                      └────── one wire ──▶ Kafka ◀── one wire ──────────────────┘
 *
 * A wire to Kafka stands before a listener of its own: the broker tells everyone who comes by it the wire's address.
 */
import { mkdirSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { startReaper } from "../../../scripts/services/Reaper.ts"
import { startServices } from "../../../scripts/services/Services.ts"
import { at, freePorts } from "../../../scripts/services/Tools.ts"
import { ClusterNode, type Role } from "./Cluster.ts"
import { Dice } from "@nimbus/domain/testing/dice"
import type { TestEnvironment } from "./Faults.ts"
import { Fleet, type FleetOptions } from "./Fleet.ts"
import { Wire } from "./Wire.ts"

export interface StageOptions {
  readonly seed: number
  readonly partitions: number
  readonly outage_ms: number
  /** Only the second of the gateways and of the pipelines may be killed. */
  readonly sparesFirst: boolean
  /** Some handlers take a while. */
  readonly slowHandlers: boolean
  /** Clients ask tasks, too, which two workers of their own run. */
  readonly hasTasks: boolean
  /** Where the processes' logs are kept. Default: nowhere. */
  readonly logs: string | undefined
  readonly fleet: Omit<FleetOptions, "directory" | "asksTasks"> & { readonly remembersInFiles: boolean }
}

export interface Stage {
  readonly testEnvironment: TestEnvironment
  readonly nodes: ReadonlyArray<ClusterNode>
  /** Starts all, with the clients spread over the gateways. */
  start(): Promise<void>
  /** Throws if a process ended that nobody killed. */
  check(): void
  end(): Promise<void>
}

/** So that a slow client fills its window in seconds. */
const window_results = 256

export const setStage = async (options: StageOptions): Promise<Stage> => {
  const { hasTasks, logs, outage_ms, partitions, seed, sparesFirst } = options
  const directory = mkdtempSync(join(tmpdir(), "nimbus-chaos-"))
  const logDirectory = logs === undefined ? directory : resolve(logs)
  mkdirSync(logDirectory, { recursive: true })
  const reaper = startReaper(directory)
  const ports = await freePorts(8)
  const wires = await layWires(at(ports, 4), at(ports, 5))
  const toKafka = [...wires["gateway-kafka"], ...wires["pipeline-kafka"]]
  const kafkaListeners = toKafka.map((wire, i) => ({ listens: at(ports, 4 + i), tells: wire.port }))
  const services = await startServices(["kafka", "redis"], { kafkaListeners })
  for (const wire of [...wires["gateway-redis"], ...wires["pipeline-redis"]]) wire.to(portOf(services.get("redis")))

  const memories = options.fleet.remembersInFiles ? join(directory, "memories") : undefined
  const fleet = new Fleet({ ...options.fleet, asksTasks: hasTasks, directory: memories })
  const nodes: Array<ClusterNode> = []
  const onChange = () => reaper.watch([...nodes.flatMap(({ group }) => group ?? []), ...fleet.groups])
  const place = (role: Role, index: number, port: number): ClusterNode => {
    const wire = (to: "redis" | "kafka") =>
      wires[role === "gateway" ? (`gateway-${to}` as const) : (`pipeline-${to}` as const)]
    const environment = {
      NIMBUS_PARTITIONS: String(partitions),
      NIMBUS_WINDOW_RESULTS: String(window_results),
      NIMBUS_REDIS_ADDRESS: `127.0.0.1:${wire("redis")[index]?.port}`,
      NIMBUS_KAFKA_BROKERS: `127.0.0.1:${wire("kafka")[0]?.port}`,
      ...rolesOf(role),
    }
    const node = new ClusterNode({ role, port, environment, directory: logDirectory, onChange })
    nodes.push(node)
    return node
  }
  const gateways = [0, 1].map((i) => place("gateway", i, at(ports, i)))
  const pipelines = [0, 1].map((i) => place(pipelineOf(options), i, at(ports, 2 + i)))
  const workers = hasTasks ? [0, 1].map((i) => place("task-worker", i, at(ports, 6 + i))) : []
  gateways.forEach(({ port }, i) => wires["clients-gateway"][i]?.to(port))
  const urls = wires["clients-gateway"].map(({ port }) => `ws://127.0.0.1:${port}`)
  const mortal = sparesFirst ? { gateways: gateways.slice(1), pipelines: pipelines.slice(1) } : { gateways, pipelines }

  return {
    testEnvironment: {
      gateways,
      pipelines,
      workers,
      mortal,
      wires,
      urls,
      services,
      fleet,
      dice: new Dice(seed),
      outage_ms,
    },
    nodes,
    start: async () => {
      await Promise.all(nodes.map((node) => node.start()))
      await fleet.begin((client) => urls[client % urls.length] ?? "")
    },
    check: () => {
      for (const { failure } of nodes) if (failure !== undefined) throw new Error(failure)
    },
    end: async () => {
      await fleet.leave()
      await Promise.all(nodes.map((node) => node.end("SIGTERM")))
      await services.stop()
      await Promise.all(Object.values(wires).flatMap((all) => all.map((wire) => wire.end())))
      await reaper.finish()
    },
  }
}

const pipelineOf = ({ hasTasks, slowHandlers }: StageOptions): Role =>
  hasTasks ? "tasks-pipeline" : slowHandlers ? "slow-pipeline" : "pipeline"

/** Where tasks have workers of their own, pipelines do the rest. */
const rolesOf = (role: Role): Readonly<Record<string, string>> => {
  if (role === "task-worker") return { NIMBUS_ROLES: "task-worker" }
  if (role === "tasks-pipeline")
    return { NIMBUS_ROLES: "event-consumer,result-consumer,replay-consumer,status-manager" }
  return {}
}

const layWires = async (gatewaysToKafka: number, pipelinesToKafka: number): Promise<TestEnvironment["wires"]> => {
  const lay = (count: number) => Promise.all(Array.from({ length: count }, () => Wire.listen()))
  const wires = {
    "clients-gateway": await lay(2),
    "gateway-redis": await lay(2),
    "gateway-kafka": await lay(1),
    "pipeline-redis": await lay(2),
    "pipeline-kafka": await lay(1),
  }
  for (const wire of wires["gateway-kafka"]) wire.to(gatewaysToKafka)
  for (const wire of wires["pipeline-kafka"]) wire.to(pipelinesToKafka)
  return wires
}

const portOf = ({ address }: { readonly address: string }): number => Number(address.split(":")[1])
