/** The registry, the channels and the mailboxes of the domain in Redis, for any number of processes. */
export { OtherMailboxStore, RedisEvicts, RedisRefused, RedisUnavailable } from "../Errors.ts"
export { RedisConnection } from "./Connection.ts"
export { config as redisConfig, type RedisSettings } from "./Settings.ts"
export * as RedisAckChannel from "./AckChannel.ts"
export * as RedisMailbox from "./Mailbox.ts"
export * as RedisMailboxStore from "./MailboxStore.ts"
export * as RedisPodChannel from "./PodChannel.ts"
export * as RedisRegistry from "./Registry.ts"
