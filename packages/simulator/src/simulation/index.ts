/** Nimbus in virtual time, on simulated services, driven by one seed: see `World.ts` and docs/simulation.md. */
export { describe, type Fault, faultCounts, type FaultName, faultNames, ruleCounts } from "./Faults.ts"
export { abnormal, type Accept, type End, type Listener } from "./Network.ts"
export { start_ms } from "./Kernel.ts"
export * from "./Production.ts"
export * from "./Run.ts"
export * from "./Shrink.ts"
export { Violation } from "./Violation.ts"
