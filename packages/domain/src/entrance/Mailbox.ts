/** The contract of `Mailbox`, and its layer in memory. */
export * from "../services/Mailbox.ts"
export * from "../services/MailboxMemory.ts"
