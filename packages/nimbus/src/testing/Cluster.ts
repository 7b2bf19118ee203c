/** A cluster of its own on the Kafka and the Redis that tests run on: what it has there is nobody else's. */
import { inject } from "vitest"

/** What its processes are told in their environment. */
export const clusterOfItsOwn = (kind: string) => {
  const { kafka, redis } = inject("services")
  const name = `${kind}-${Math.random().toString(36).slice(2, 8)}`
  return {
    NIMBUS_KAFKA_BROKERS: kafka?.brokers ?? "",
    NIMBUS_REDIS_ADDRESS: redis?.address ?? "",
    NIMBUS_REDIS_PREFIX: name,
    NIMBUS_PARTITIONS: "3",
    NIMBUS_KAFKA_EVENTS_TOPIC: `${name}-events`,
    NIMBUS_KAFKA_RESULTS_TOPIC: `${name}-results`,
    NIMBUS_KAFKA_DLQ_TOPIC: `${name}-dlq`,
    NIMBUS_KAFKA_QUARANTINE_TOPIC: `${name}-quarantine`,
    NIMBUS_KAFKA_TASKS_TOPIC: `${name}-tasks`,
    NIMBUS_KAFKA_JOURNEY_TOPIC: `${name}-journey`,
    NIMBUS_KAFKA_CHATS_TOPIC: `${name}-chats`,
  }
}
