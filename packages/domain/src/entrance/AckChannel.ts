/** The contract of `AckChannel`, and its layer in memory. */
export * from "../services/AckChannel.ts"
export * from "../services/AckChannelMemory.ts"
