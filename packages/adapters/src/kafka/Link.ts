/**
 * The connections to the brokers for one purpose, which reconnect after a loss.
 *
 * A broker responds to the requests of one connection in their order. Requests that may wait long (a poll, the
 * rebalance of a group) therefore have separate links: one for each subscription and each tail, one for the producer,
 * one for all queries.
 */
import { Effect, type Scope } from "effect"
import type { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import type { KafkaBroker, KafkaCluster } from "./KafkaInternals.ts"
import { call, type KafkaClient } from "./KafkaJs.ts"

export class Link {
  readonly cluster: KafkaCluster

  constructor(cluster: KafkaCluster) {
    this.cluster = cluster
  }

  /** The broker that leads a partition, as far as is known. It may be disconnected: see `broker`. */
  leaderOf(topic: string, partition: number): string | undefined {
    try {
      const all = this.cluster.findTopicPartitionMetadata(topic)
      const found = all.find(({ partitionId }) => partitionId === partition)
      return found === undefined || found.leader < 0 ? undefined : String(found.leader)
    } catch {
      // The leader is not known yet: `recover` finds it.
      return undefined
    }
  }

  /** The broker, connected if possible. */
  broker(nodeId: string): Effect.Effect<KafkaBroker, KafkaUnavailable> {
    return call(() => this.cluster.findBroker({ nodeId }))
  }

  coordinator(groupId: string): Effect.Effect<KafkaBroker, KafkaUnavailable> {
    return call(() => this.cluster.findGroupCoordinator({ groupId }))
  }

  /**
   * After a failure: reconnects if necessary, and reads the leaders again. Any broker can answer this. The request is
   * repeated, because the first broker may be the one that hangs.
   */
  readonly recover: Effect.Effect<void, KafkaUnavailable> = call(async () => {
    if (!this.cluster.isConnected()) await this.cluster.connect()
    await this.cluster.refreshMetadata()
  }).pipe(Effect.retry({ times: 2 }))
}

/** Connects, and reads the metadata of these topics. Disconnects with the scope. */
export const openLink = (
  kafka: KafkaClient,
  topics: ReadonlyArray<string>,
  limits: KafkaLimits,
): Effect.Effect<Link, KafkaUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = yield* Effect.acquireRelease(Effect.sync(kafka.cluster), (cluster) =>
      call(() => cluster.disconnect()).pipe(
        Effect.timeoutOption(limits.close_timeout_ms),
        Effect.catch((error) => Effect.logDebug("a connection did not close well", error)),
      ),
    )
    yield* call(async () => {
      await cluster.connect()
      await cluster.addMultipleTargetTopics([...topics])
    })
    return new Link(cluster)
  })
