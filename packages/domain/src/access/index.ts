/** Who may do what: subjects, capabilities, and what is decided of tokens. */
export * from "./AuditBook.ts"
export * from "./Caller.ts"
export * from "./Capability.ts"
export * from "./Issuers.ts"
export * from "./Principal.ts"
export * from "./Revocation.ts"
export * as Subject from "./Subject.ts"
