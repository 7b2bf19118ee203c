/** The log on Kafka, for many processes. */
export * from "../Errors.ts"
export * from "../Limits.ts"
export * as KafkaEventLog from "./EventLog.ts"
