/** What all processes of Nimbus share: they read settings, drain on a signal, and report a failure in one line. */
export * as Failure from "./Failure.ts"
export * as Environment from "./Environment.ts"
export * as Logs from "./Logs.ts"
export * as Shutdown from "./Shutdown.ts"
export * as Telemetry from "./Telemetry.ts"
