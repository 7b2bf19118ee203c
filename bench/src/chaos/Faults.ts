/** What goes wrong, one thing at a time: each fault strikes, and is mended. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Services } from "../../../scripts/services/Services.ts"
import { ask } from "../../../scripts/services/Tools.ts"
import type { ClusterNode } from "./Cluster.ts"
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Fleet } from "./Fleet.ts"
import type { Weather, Wire } from "./Wire.ts"

export interface Fault {
  readonly name: string
  /** Whether times count from when the strike is done. Default: from when it begins. */
  readonly isCountedAfter?: boolean
  strike(): Promise<void>
  /** What was taken away is back when this is done. */
  mend(): Promise<void>
}

/** Between which parts there is a wire. */
export const wireNames = [
  "clients-gateway",
  "gateway-redis",
  "gateway-kafka",
  "pipeline-redis",
  "pipeline-kafka",
] as const
export type WireName = (typeof wireNames)[number]

export interface TestEnvironment {
  readonly gateways: ReadonlyArray<ClusterNode>
  readonly pipelines: ReadonlyArray<ClusterNode>
  /** Of tasks; none: there are no tasks. */
  readonly workers: ReadonlyArray<ClusterNode>
  /** Those of them that may be killed. */
  readonly mortal: { readonly gateways: ReadonlyArray<ClusterNode>; readonly pipelines: ReadonlyArray<ClusterNode> }
  readonly wires: Readonly<Record<WireName, ReadonlyArray<Wire>>>
  /** Where clients find the gateways. */
  readonly urls: ReadonlyArray<string>
  readonly services: Services
  readonly fleet: Fleet
  readonly dice: Dice
  /** How long Kafka stays away. */
  readonly outage_ms: number
}

/** Longer than a gateway's lease (15 s), and than the session of a member of a consumer group (10 s). */
const paused_ms = { gateway: 18_000, pipeline: 13_000 }
const cut_ms = 3_000
const delayed = { delay_ms: 100, for_ms: 5_000 }
/** Longer than the session of a member of a consumer group, too. */
const silent_ms = 12_000
/** How long a state of Redis is forgotten. */
const forgotten_ms = 5_000
const slow = { bytes_per_sec: 4_000, for_ms: 10_000, every: 10, events: 600 }
const clock_ms = 4_000

/** Finds what a fault of its kind strikes. */
export type Kind = (testEnvironment: TestEnvironment) => Fault

/** How they are called on the command line. */
export const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["gateway-killed", ({ dice, mortal }) => killed("gateway", dice.oneOf(mortal.gateways))],
  ["pipeline-killed", ({ dice, mortal }) => killed("pipeline", dice.oneOf(mortal.pipelines))],
  ["redis-emptied", (testEnvironment) => emptiedRedis(testEnvironment)],
  ["redis-restarted", (testEnvironment) => restartedRedis(testEnvironment)],
  ["redis-older", (testEnvironment) => olderRedis(testEnvironment)],
  ["kafka-stopped", (testEnvironment) => stoppedKafka(testEnvironment)],
  ["clients-moved", (testEnvironment) => movedClients(testEnvironment)],
  ["clients-slow", (testEnvironment) => slowClients(testEnvironment)],
  ["herd", (testEnvironment) => herd(testEnvironment)],
  ["gateway-paused", (testEnvironment) => pausedGateway(testEnvironment)],
  ["pipeline-paused", ({ dice, pipelines }) => paused("pipeline", dice.oneOf(pipelines))],
  ["gateway-clock", ({ dice, gateways }) => shiftedClock("gateway", dice.oneOf(gateways))],
  ["pipeline-clock", ({ dice, pipelines }) => shiftedClock("pipeline", dice.oneOf(pipelines))],
  ...wireNames.flatMap((name): ReadonlyArray<[string, Kind]> => {
    const parts = name.replace("-", " to ").replace("redis", "Redis").replace("kafka", "Kafka")
    return [
      [`${name}-cut`, ({ wires }) => cutWire(parts, wires[name])],
      [`${name}-delayed`, ({ wires }) => delayedWire(parts, wires[name])],
      [`${name}-silent`, ({ wires }) => silentWire(parts, wires[name])],
    ]
  }),
])

/** What strikes the workers of tasks, where there are any. */
export const kindsOfTasks: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["worker-killed", ({ dice, workers }) => killed("task worker", dice.oneOf(workers))],
  ["worker-left", ({ dice, workers }) => leftWorker(dice.oneOf(workers))],
  ["worker-paused", ({ dice, workers }) => paused("task worker", dice.oneOf(workers))],
])

/** One of each, in an order of the dice. */
export const faults = (testEnvironment: TestEnvironment, of: ReadonlyArray<Kind>): ReadonlyArray<Fault> =>
  testEnvironment.dice.shuffle(of.map((kind) => kind(testEnvironment)))

/**
 * Rebalances and nothing else: a pipeline leaves in good order, and another comes. Every client sends within a second of
 * it, so that every route is made anew at once.
 */
export const rebalances = ({ fleet, pipelines }: TestEnvironment): ReadonlyArray<Fault> => {
  const node = pipelines[0]!
  const mend = () => fleet.burst(1_000)
  return [
    { name: "a pipeline left", strike: () => node.end("SIGTERM"), mend, isCountedAfter: true },
    { name: "a pipeline came", strike: () => node.start(), mend, isCountedAfter: true },
  ]
}

/** Its successor is another process, at the same address. */
const killed = (role: string, node: ClusterNode): Fault => ({
  name: `${role} killed (-9), another started`,
  strike: () => node.end("SIGKILL"),
  mend: () => node.start(),
})

const emptiedRedis = ({ services }: TestEnvironment): Fault => ({
  name: "Redis restarted empty",
  strike: () => services.get("redis").kill(),
  mend: async () => {
    await services.get("redis").clear()
    await services.get("redis").start()
  },
})

/** It writes its data to disk as it goes, and reads it when it comes. */
const restartedRedis = ({ services }: TestEnvironment): Fault => ({
  name: "Redis restarted with its data",
  strike: async () => {
    await tellRedis(services, "SAVE")
    await services.get("redis").stop()
  },
  mend: () => services.get("redis").start(),
})

/** As after a failover to a replica that lags, or a crash between two snapshots. */
const olderRedis = ({ services }: TestEnvironment): Fault => ({
  name: `Redis restarted as it was ${forgotten_ms / 1000} s before`,
  isCountedAfter: true,
  strike: async () => {
    await tellRedis(services, "SAVE")
    await sleep(forgotten_ms)
    await services.get("redis").kill()
  },
  mend: () => services.get("redis").start(),
})

const tellRedis = async (services: Services, command: string): Promise<void> => {
  const { address } = services.get("redis")
  const answer = await ask(Number(address.split(":")[1]), Buffer.from(`${command}\r\n`), 10_000)
  if (answer?.toString() !== "+OK\r\n") throw new Error(`Redis says ${String(answer)} to ${command}`)
}

const stoppedKafka = ({ outage_ms, services }: TestEnvironment): Fault => ({
  name: `Kafka stopped for ${outage_ms / 1000} s`,
  strike: () => services.get("kafka").stop(),
  mend: async () => {
    await sleep(outage_ms)
    await services.get("kafka").start()
  },
})

/** A quarter of them. */
const movedClients = ({ dice, fleet, urls }: TestEnvironment): Fault => ({
  name: "clients moved between gateways",
  strike: () => move(fleet, dice, urls),
  mend: async () => {},
})

const move = async (fleet: Fleet, dice: Dice, to: ReadonlyArray<string>): Promise<void> => {
  const moved = Array.from({ length: fleet.size }, (_, client) => client).filter(() => dice.below(4) === 0)
  await fleet.move(new Map(moved.map((client) => [client, dice.oneOf(to)])))
}

/** Some of its clients go elsewhere while it stands still: it wakes up with sessions that are over, and no lease. */
const pausedGateway = ({ dice, fleet, gateways, urls }: TestEnvironment): Fault => {
  const at = dice.below(gateways.length)
  const others = urls.filter((_, i) => i !== at)
  return {
    name: `gateway stopped (SIGSTOP) for ${paused_ms.gateway / 1000} s, clients moved away`,
    strike: async () => gateways[at]?.pause(),
    mend: async () => {
      const began = performance.now()
      try {
        await move(fleet, dice, others)
        await sleep(Math.max(0, paused_ms.gateway - (performance.now() - began)))
      } finally {
        gateways[at]?.resume()
      }
    },
  }
}

/** The other one takes over its partitions; then it goes on with what it had in hand. */
const paused = (role: string, node: ClusterNode): Fault => ({
  name: `${role} stopped (SIGSTOP) for ${paused_ms.pipeline / 1000} s`,
  strike: async () => node.pause(),
  mend: async () => {
    await sleep(paused_ms.pipeline)
    node.resume()
  },
})

/** As in a rollout. */
const leftWorker = (node: ClusterNode): Fault => ({
  name: "task worker stopped (SIGTERM), another started",
  strike: () => node.end("SIGTERM"),
  mend: () => node.start(),
})

/** At one gateway, while some of them are sent far more than they can take. */
const slowClients = ({ dice, fleet, wires }: TestEnvironment): Fault => {
  const wire = dice.oneOf(wires["clients-gateway"])
  const { bytes_per_sec, every, events, for_ms } = slow
  return {
    name: `clients at ${bytes_per_sec / 1000} kB/s for ${for_ms / 1000} s, 1 in ${every} sends ${events} at once`,
    strike: async () => {
      wire.change({ bytes_per_sec })
      await fleet.flood(every, events)
    },
    mend: async () => {
      await sleep(for_ms)
      wire.change({})
    },
  }
}

/** Every connection of a client ends, and all may come back at once. */
const herd = ({ fleet, wires }: TestEnvironment): Fault => ({
  name: `all ${fleet.size} clients cut off at once`,
  strike: async () => {
    for (const wire of wires["clients-gateway"]) {
      wire.cut()
      wire.mend()
    }
  },
  // Each says something as soon as it is back.
  mend: () => fleet.burst(2_000),
})

/** Ahead, behind, and right again. */
const shiftedClock = (role: string, node: ClusterNode): Fault => ({
  name: `clock of a ${role} an hour ahead, an hour behind, and right`,
  strike: async () => node.shiftClock(),
  mend: async () => {
    for (let shifts = 0; shifts < 2; shifts++) {
      await sleep(clock_ms)
      node.shiftClock()
    }
  },
})

/** Connections end, and new ones are refused. */
const cutWire = (parts: string, wires: ReadonlyArray<Wire>): Fault => ({
  name: `${parts} cut for ${cut_ms / 1000} s`,
  strike: async () => wires.forEach((wire) => wire.cut()),
  mend: async () => {
    await sleep(cut_ms)
    for (const wire of wires) wire.mend()
  },
})

/** Each way. */
const delayedWire = (parts: string, wires: ReadonlyArray<Wire>): Fault => ({
  name: `${parts} delayed by ${delayed.delay_ms} ms for ${delayed.for_ms / 1000} s`,
  ...weather(wires, { delay_ms: delayed.delay_ms }, delayed.for_ms),
})

/** Connections stay, and nothing comes through; then all of it does. */
const silentWire = (parts: string, wires: ReadonlyArray<Wire>): Fault => ({
  name: `${parts} silent for ${silent_ms / 1000} s`,
  ...weather(wires, { delay_ms: Number.POSITIVE_INFINITY }, silent_ms),
})

const weather = (wires: ReadonlyArray<Wire>, weather: Weather, for_ms: number): Pick<Fault, "strike" | "mend"> => ({
  strike: async () => wires.forEach((wire) => wire.change(weather)),
  mend: async () => {
    await sleep(for_ms)
    for (const wire of wires) wire.change({})
  },
})
