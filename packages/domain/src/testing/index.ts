/** Conformance suites, one per service interface: any implementation runs them in its own tests. */
export * from "./MailboxSuite.ts"
export * from "./RegistrySuite.ts"
export * from "./PodChannelSuite.ts"
export * from "./AckChannelSuite.ts"
export * from "./EventLogSuite.ts"
export * from "./ArchiveSuite.ts"
export { eventually, NeverHappened } from "./Eventually.ts"
export * as World from "./world/index.ts"
