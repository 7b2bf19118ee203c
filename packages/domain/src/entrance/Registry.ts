/** The contract of `Registry`, and its layer in memory. */
export * from "../services/Registry.ts"
export * from "../services/RegistryMemory.ts"
