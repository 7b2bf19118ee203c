/** The contract of `Archive`, and its layer in memory. */
export * from "../services/Archive.ts"
export * from "../services/ArchiveMemory.ts"
