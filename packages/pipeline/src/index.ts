/** From event to result to mailbox: the four roles that run between the gateways and the stores. */
export * from "./Limits.ts"
export * from "./Roles.ts"
export * as EventConsumer from "./EventConsumer.ts"
export * as ResultConsumer from "./ResultConsumer.ts"
export * as ReplayConsumer from "./ReplayConsumer.ts"
export * as Quarantine from "./Quarantine.ts"
export * from "./StatusManager.ts"
export * as Pipeline from "./Pipeline.ts"
