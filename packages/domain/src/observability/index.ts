/** What a process can show of itself: traces, durations, sizes, and how many journeys it follows. */
export * as Elapsed from "./Elapsed.ts"
export * from "./SecondsBoundaries.ts"
export * from "./SpansPerSecond.ts"
export { type Sized, MemoryGauges, registerSize } from "./MemoryGauges.ts"
export * as JourneyRecorder from "./JourneyRecorder.ts"
export * as Trace from "./Trace.ts"
