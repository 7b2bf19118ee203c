/**
 * Who did what, from where, and what came of it: logins, refusals, actions of operators, what is published as the server,
 * revocations. Never a token, nor anything of which one could be made.
 *
 * Repeats within `audit_join_ms` are one entry with their number. What can't be written waits up to `audit_waiting`
 * entries; beyond, the oldest are dropped and counted.
 */
import { Context } from "effect"

/** What was done, and by whom. */
export interface AuditEntry {
  readonly action: "login" | "refused" | "admin" | "publish" | "revoke"
  /** `OK`, or the code of what refused it. */
  readonly outcome: string
  /** As the token has it; `undefined`: nobody has shown who it is. */
  readonly issuer: string | undefined
  readonly subject: string | undefined
  readonly clientId?: string | undefined
  /** The address that asked, as far as it is known. */
  readonly address: string | undefined
  readonly transport: string
  /** What was asked for: a capability, an operation with its target. */
  readonly detail?: string | undefined
}

export class Audit extends Context.Service<Audit, { record(entry: AuditEntry): void }>()("@nimbus/domain/Audit") {}
