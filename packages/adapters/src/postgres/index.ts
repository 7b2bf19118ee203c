/** The mailboxes and the archive of the domain in PostgreSQL. */
export { PostgresRefused, PostgresTlsFailed, PostgresUnavailable } from "../Errors.ts"
export { PostgresDatabase } from "./Database.ts"
export { config as postgresConfig, type PostgresSettings } from "./Settings.ts"
export * as PostgresMailbox from "./Mailbox.ts"
export * as PostgresArchive from "./Archive.ts"
