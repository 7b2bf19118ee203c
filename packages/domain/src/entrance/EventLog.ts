/** The contract of `EventLog`, and its layer in memory. */
export * from "../services/EventLog.ts"
export * from "../services/EventLogMemory.ts"
