/** What a program needs that asks a gateway, and nothing of the gateway itself: commands must start quickly. */
export * as AdminAccess from "./Authorization.ts"
