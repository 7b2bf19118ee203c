/** Clients of the doors, for tests of any package. */
export * as PlainClient from "./PlainClient.ts"
