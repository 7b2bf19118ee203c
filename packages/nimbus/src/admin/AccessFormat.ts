/** What the commands about access print for people. */
import type { AuditView, Revoked, RevocationsView, StoredAuditEntry } from "@nimbus/domain/admin"
import { table } from "./Table.ts"

const timeText = (time: number): string => new Date(time).toISOString()

export const revoked =
  (what: string, counts: "counts" | "count") =>
  ({ isNew, issuer }: Revoked): string =>
    isNew
      ? `${what}, of ${issuer}, ${counts} no more`
      : `nothing has changed: ${what}, of ${issuer}, counted no more already`

export const blocked =
  (subject: string) =>
  ({ isNew, issuer }: Revoked): string =>
    `${subject} of ${issuer} is ${isNew ? "blocked" : "blocked already"}`

export const unblocked =
  (subject: string) =>
  ({ isNew, issuer }: Revoked): string =>
    isNew ? `${subject} of ${issuer} may come again` : `${subject} of ${issuer} is not blocked`

export const revocations = ({ count, more, revocations }: RevocationsView): string => {
  const rows = revocations.map((order) => [
    timeText(order.at_ms),
    kinds[order._tag],
    order._tag === "Token" ? order.tokenId : order.subject,
    order.issuer,
    order._tag === "Token"
      ? `until ${timeText(order.expires_s * 1000)}`
      : order._tag === "Subject"
        ? `issued up to ${timeText(order.issued_s * 1000)}`
        : undefined,
  ])
  if (rows.length === 0) return `${count} in force`
  return `${count} in force\n\n${table(["ordered", "what", "of", "issuer", "which"], rows)}${more ? "\n… and more" : ""}`
}

const kinds = { Token: "token", Subject: "all tokens", Block: "block" } as const

export const audit = ({ entries, more }: AuditView): string =>
  table(["time", "action", "outcome", "times", "who", "client", "address", "by", "what"], entries.map(entryCells)) +
  (more ? "\n… and more" : "")

const entryCells = (entry: StoredAuditEntry): ReadonlyArray<string | number | undefined> => [
  timeText(entry.time),
  entry.action,
  entry.outcome,
  entry.repeats?.count ?? 1,
  entry.subject,
  entry.clientId,
  entry.address,
  entry.transport,
  entry.detail,
]
