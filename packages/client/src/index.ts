/**
 * The client SDK for Node and browsers: sends events, and gives each result of a client exactly once, in order,
 * whatever dies in between. Imports nothing of Node; what does is at `@nimbus/client/node`.
 *
 * `Client.make` is for Effect, `connect` for everyone else.
 */
export * as Client from "./Client.ts"
export * from "./Connect.ts"
export { type Delivery, isLost, type Lost, type Stats } from "./Core.ts"
export * from "./Errors.ts"
export * from "./Limits.ts"
export * as Memory from "./Memory.ts"
export { ClientMemory } from "./Memory.ts"
export * as Transport from "./Transport.ts"
