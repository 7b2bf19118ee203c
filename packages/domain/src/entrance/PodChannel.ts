/** The contract of `PodChannel`, and its layer in memory. */
export * from "../services/PodChannel.ts"
export * from "../services/PodChannelMemory.ts"
