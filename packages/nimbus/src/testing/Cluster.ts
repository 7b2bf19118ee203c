/** A cluster of its own on the Kafka and the Redis that tests run on: what it has there is nobody else's. */
import { inject } from "vitest"
import { topicsOf } from "../../../../scripts/services/Topics.ts"

/** What its processes are told in their environment. */
export const clusterOfItsOwn = (kind: string) => {
  const { kafka, redis } = inject("services")
  const name = `${kind}-${Math.random().toString(36).slice(2, 8)}`
  return {
    NIMBUS_KAFKA_BROKERS: kafka?.brokers ?? "",
    NIMBUS_REDIS_ADDRESS: redis?.address ?? "",
    NIMBUS_REDIS_PREFIX: name,
    NIMBUS_PARTITIONS: "3",
    ...topicsOf(name),
  }
}
