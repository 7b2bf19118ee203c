/** The mailboxes of the domain in PostgreSQL, for backlogs too large for memory. */
export { PostgresRefused, PostgresUnavailable } from "../Errors.ts"
export { PostgresDatabase } from "./Database.ts"
export { config as postgresConfig, type PostgresSettings } from "./Settings.ts"
export * as PostgresMailbox from "./Mailbox.ts"
