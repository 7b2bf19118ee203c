/**
 * Connections to the brokers for one purpose, found again after they were lost.
 *
 * Requests of one connection are answered in their order, so what may wait long (a poll, a group's rebalance) has a link
 * of its own: each subscription and each tail one, the producer one, all questions one.
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

  /** The broker that leads a partition, as far as is known. Not being connected to it is no obstacle: see `broker`. */
  leaderOf(topic: string, partition: number): string | undefined {
    try {
      const all = this.cluster.findTopicPartitionMetadata(topic)
      const found = all.find(({ partitionId }) => partitionId === partition)
      return found === undefined || found.leader < 0 ? undefined : String(found.leader)
    } catch {
      // Nothing is known yet: `recover` learns it.
      return undefined
    }
  }

  /** Connected, if it can be. */
  broker(nodeId: string): Effect.Effect<KafkaBroker, KafkaUnavailable> {
    return call(() => this.cluster.findBroker({ nodeId }))
  }

  coordinator(groupId: string): Effect.Effect<KafkaBroker, KafkaUnavailable> {
    return call(() => this.cluster.findGroupCoordinator({ groupId }))
  }

  /**
   * After a failure: connects again if need be, and learns anew who leads what. Any of the brokers is asked for that, and
   * asked more than once because it may be the one that hangs.
   */
  readonly recover: Effect.Effect<void, KafkaUnavailable> = call(async () => {
    if (!this.cluster.isConnected()) await this.cluster.connect()
    await this.cluster.refreshMetadata()
  }).pipe(Effect.retry({ times: 2 }))
}

/** Connected, and knows these topics; disconnected with the scope. */
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
