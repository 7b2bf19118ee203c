/** What goes wrong, one thing at a time: each fault strikes, and is mended. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Services } from "../../../scripts/services/Services.ts"
import type { ClusterNode } from "./Cluster.ts"
import type { Dice } from "./Dice.ts"
import type { Fleet } from "./Fleet.ts"

export interface Fault {
  readonly name: string
  /** Whether times count from when the strike is done. Default: from when it begins. */
  readonly isCountedAfter?: boolean
  strike(): Promise<void>
  /** What was taken away is back when this is done. */
  mend(): Promise<void>
}

export interface Ground {
  readonly gateways: ReadonlyArray<ClusterNode>
  readonly pipelines: ReadonlyArray<ClusterNode>
  readonly services: Services
  readonly fleet: Fleet
  readonly dice: Dice
  /** How long Kafka stays away. */
  readonly outage_ms: number
}

/** All of them, in an order of the dice. */
export const faults = (ground: Ground): ReadonlyArray<Fault> =>
  ground.dice.shuffle([
    killed("gateway", ground.dice.pick(ground.gateways)),
    killed("pipeline", ground.dice.pick(ground.pipelines)),
    emptiedRedis(ground),
    stoppedKafka(ground),
    movedClients(ground),
  ])

/**
 * Rebalances and nothing else: a pipeline leaves in good order, and another comes. Every client sends within a second of
 * it, so that every route is made anew at once.
 */
export const rebalances = ({ fleet, pipelines }: Ground): ReadonlyArray<Fault> => {
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

const emptiedRedis = ({ services }: Ground): Fault => ({
  name: "Redis restarted empty",
  strike: () => services.get("redis").kill(),
  mend: async () => {
    await services.get("redis").clear()
    await services.get("redis").start()
  },
})

const stoppedKafka = ({ outage_ms, services }: Ground): Fault => ({
  name: `Kafka stopped for ${outage_ms / 1000} s`,
  strike: () => services.get("kafka").stop(),
  mend: async () => {
    await sleep(outage_ms)
    await services.get("kafka").start()
  },
})

/** A quarter of them. */
const movedClients = ({ dice, fleet, gateways }: Ground): Fault => ({
  name: "clients moved between gateways",
  strike: async () => {
    const moved = Array.from({ length: fleet.size }, (_, client) => client).filter(() => dice.below(4) === 0)
    await fleet.move(new Map(moved.map((client) => [client, urlOf(dice.pick(gateways))])))
  },
  mend: async () => {},
})

export const urlOf = ({ port }: ClusterNode): string => `ws://127.0.0.1:${port}`
