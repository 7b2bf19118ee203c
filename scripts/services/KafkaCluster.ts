/** A Kafka of several brokers for tests, each with a copy of all records; one may be missing. */
import { mkdirSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Kafka from "./Kafka.ts"
import { startReaper } from "./Reaper.ts"
import { dataDirectory, makeDataDirectory, Service } from "./Service.ts"
import { at, freePorts } from "./Tools.ts"

export interface KafkaCluster {
  /** `host:port` of each. */
  readonly brokers: ReadonlyArray<string>
  /** By the number that Kafka knows it by, from 1. */
  broker(nodeId: number): Service
  /** Stops all and removes their data. */
  stop(): Promise<void>
}

export const startKafkaCluster = async (count: number): Promise<KafkaCluster> => {
  const directory = mkdtempSync(join(tmpdir(), "nimbus-kafka-cluster-"))
  const reaper = startReaper(directory)
  const ports = await freePorts(4 * count)
  const controllers = ports.slice(0, count)
  const clusterId = Kafka.newClusterId()
  const nodes: Array<Service> = []
  const onChange = () => reaper.watch(nodes.flatMap(({ group }) => group ?? []))
  for (const [i, controller] of controllers.entries()) {
    const home = join(directory, `${i}`)
    mkdirSync(home)
    makeDataDirectory(home, "kafka")
    const listener = (n: number) => at(ports, n * count + i)
    const listeners = { controller, plain: listener(1), sasl: listener(2), tls: listener(3) }
    const plan = Kafka.plan(dataDirectory(home, "kafka"), listeners, { clusterId, nodeId: i + 1, controllers })
    nodes.push(new Service(plan, home, onChange))
  }
  const stop = async () => {
    // All at once: none waits for another to take over from it.
    await Promise.allSettled(nodes.map((node) => node.kill()))
    await reaper.finish()
  }
  const started = await Promise.allSettled(nodes.map((node) => node.start()))
  const failed = started.find((result) => result.status === "rejected")
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return {
    brokers: nodes.map(({ address }) => address),
    broker: (nodeId) => {
      const node = nodes[nodeId - 1]
      if (node === undefined) throw new RangeError(`there is no broker ${nodeId}`)
      return node
    },
    stop,
  }
}
