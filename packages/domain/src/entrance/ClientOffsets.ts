/** The contract of `ClientOffsets`, and its layer in memory. */
export * from "../services/ClientOffsets.ts"
export * from "../services/ClientOffsetsMemory.ts"
