/** The services of the domain on one LMDB environment in a data directory, for a single process. */
export * from "../Errors.ts"
export * from "../Limits.ts"
export { type Entry, LmdbStore, type RangeOptions, type Table } from "./Store.ts"
export * as LmdbMailbox from "./Mailbox.ts"
export * as LmdbEventLog from "./EventLog.ts"
