/**
 * Who did what, from where, and what came of it: logins, refusals, actions of operators, what is published as the server,
 * revocations. Never a token, nor anything of which one could be made.
 *
 * Repeats within `audit_join_ms` are one entry with their number, beside the first one. What can't be written waits up to `audit_waiting`
 * entries; beyond, the oldest are dropped and counted.
 */
import { Context } from "effect"
import type { AuditEntry } from "../access/AuditBook.ts"

export type { AuditEntry, StoredAuditEntry } from "../access/AuditBook.ts"

/** Who did what. `record` takes no time, and does not throw. */
export class Audit extends Context.Service<Audit, { record(entry: AuditEntry): void }>()("@nimbus/domain/Audit") {}
