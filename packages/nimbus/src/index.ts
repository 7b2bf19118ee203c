/** Everything in one process, on embedded parts. */
export * as Embedded from "./Embedded.ts"
