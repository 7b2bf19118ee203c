/** What every process of Nimbus does alike: read its settings, leave on a signal, and say in one line why it failed. */
export * as Failure from "./Failure.ts"
export * as Environment from "./Environment.ts"
export * as Logs from "./Logs.ts"
export * as Shutdown from "./Shutdown.ts"
export * as Telemetry from "./Telemetry.ts"
