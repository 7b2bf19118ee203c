/** How much, how often and whose turn: pure algorithms, to which the caller brings the clock. */
export * from "./Backoff.ts"
export * from "./FairQueue.ts"
export * from "./TokenBucket.ts"
