/**
 * The client SDK for Node and browsers. It sends events, and delivers each result of a client exactly once and in order,
 * whichever part fails. It imports nothing of Node; `@nimbus/client/node` has what does.
 *
 * `Client.make` is for Effect, `connect` for promises and callbacks.
 */
export * as Client from "./Client.ts"
export * from "./ClientIds.ts"
export * from "./Connect.ts"
export { type Delivery, isLost, type Lost, type Stats } from "./Core.ts"
export * from "./Errors.ts"
export * from "./Limits.ts"
export * as Memory from "./Memory.ts"
export { ClientMemory } from "./Memory.ts"
export type { TaskEvent } from "./KeptTasks.ts"
export type { RememberedTask, TaskOptions, TaskStream } from "./TaskStreams.ts"
export type { TokenSource } from "./Tokens.ts"
export * as Transport from "./Transport.ts"
