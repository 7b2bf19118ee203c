/** A Redis Cluster for tests: masters on free ports, each with its share of the slots, and a replica of the first. */
import { mkdirSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Redis from "./Redis.ts"
import { startReaper } from "./Reaper.ts"
import { makeDataDirectory, Service } from "./Service.ts"
import { ask, at, freePorts, until } from "./Tools.ts"

export interface RedisCluster {
  /** `host:port` of the masters, with commas. */
  readonly address: string
  /** The masters, then the replica. None of them takes over on its own within a test: see `takeOver`. */
  readonly nodes: ReadonlyArray<Service>
  /** Tells a node something; answers its reply as it stands on the wire. */
  tell(node: Service, command: string): Promise<string>
  /** Makes the replica the master of what the first node has, without asking that. */
  takeOver(): Promise<void>
  /** Stops all and removes their data. */
  stop(): Promise<void>
}

const slots = 16_384
const join_timeout_ms = 60_000

/** Starts the nodes, and waits until each of them knows the whole cluster. */
export const startRedisCluster = async (masters: number): Promise<RedisCluster> => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-redis-cluster-"))
  const reaper = startReaper(directory)
  const count = masters + 1
  const ports = await freePorts(2 * count)
  const nodes: Array<Service> = []
  const onChange = () => reaper.watch(nodes.flatMap(({ group }) => group ?? []))
  for (let i = 0; i < count; i++) {
    const home = join(directory, `${i}`)
    mkdirSync(home)
    makeDataDirectory(home, "redis")
    const plan = Redis.plan(at(ports, i))
    // The bus would listen 10,000 above the port, where there may be no port any more.
    const args = ["--cluster-enabled", "yes", "--cluster-port", `${at(ports, count + i)}`]
    nodes.push(
      new Service({ ...plan, args: [...plan.args, ...args, "--repl-diskless-sync-delay", "0"] }, home, onChange),
    )
  }
  const stop = async () => {
    await Promise.allSettled(nodes.map((node) => node.stop()))
    await reaper.finish()
  }
  try {
    await Promise.all(nodes.map((node) => node.start()))
    await introduce(ports.slice(0, count), ports.slice(count))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    address: nodes
      .slice(0, masters)
      .map(({ address }) => address)
      .join(),
    nodes,
    tell: (node, command) => tell(portOf(node), command),
    takeOver: () => order(at(ports, masters), "CLUSTER FAILOVER TAKEOVER"),
    stop,
  }
}

/** The last becomes the replica. */
const introduce = async (ports: ReadonlyArray<number>, busPorts: ReadonlyArray<number>): Promise<void> => {
  const masters = ports.slice(0, -1)
  const replica = at(ports, masters.length)
  const share = Math.ceil(slots / masters.length)
  for (const [i, port] of ports.entries()) {
    await order(port, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`)
    if (i > 0) await order(port, `CLUSTER MEET 127.0.0.1 ${at(ports, 0)} ${at(busPorts, 0)}`)
  }
  for (const [i, port] of masters.entries()) {
    await order(port, `CLUSTER ADDSLOTSRANGE ${i * share} ${Math.min(slots, (i + 1) * share) - 1}`)
  }
  const isWhole = async (port: number) => {
    const info = await tell(port, "CLUSTER INFO")
    return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${ports.length}`)
  }
  const areWhole = async () => (await Promise.all(ports.map(isWhole))).every(Boolean)
  if (!(await until(areWhole, join_timeout_ms))) throw new Error("the nodes of Redis do not come together")
  const [, first] = (await tell(at(ports, 0), "CLUSTER MYID")).split("\r\n")
  await order(replica, `CLUSTER REPLICATE ${first}`)
  const follows = async () => (await tell(replica, "INFO replication")).includes("master_link_status:up")
  if (!(await until(follows, join_timeout_ms))) throw new Error("the replica of Redis does not follow its master")
}

const portOf = ({ address }: Service): number => Number(address.split(":")[1])

const tell = async (port: number, command: string): Promise<string> =>
  (await ask(port, Buffer.from(`${command}\r\n`)))?.toString().trim() ?? "no answer"

const order = async (port: number, command: string): Promise<void> => {
  const answer = await tell(port, command)
  if (answer !== "+OK") throw new Error(`${command}: ${answer}`)
}
