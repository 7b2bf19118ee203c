/** What a program needs that asks a gateway, and nothing of the gateway itself: commands must start quickly. */
export { type AskError, Operations } from "./Operations.ts"
export * as AdminAccess from "./Authorization.ts"
