/**
 * Tickets in Redis, for gateways that redeem what others have issued.
 *
 * ```
 *   <prefix>:ticket:<digest of the ticket>   string   the value, sealed by the ticket    expires after `ticket_ms`
 * ```
 *
 * Redis has neither the tickets nor their values: who reads it, or a copy of it, can do nothing with them. `GETDEL` gives
 * a value out once.
 */
import { createCipheriv, createDecipheriv, createHash } from "node:crypto"
import { AuthUnavailable } from "@nimbus/domain/errors"
import { type TicketLimits, ticketLimits } from "@nimbus/domain/limits"
import { RandomIds, Tickets } from "@nimbus/domain/services"
import { Effect, Layer, Option } from "effect"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"

/** The tickets of a cluster, with other bounds than the default ones. */
export const layerWith = ({ ticket_ms = ticketLimits.ticket_ms }: Partial<TicketLimits> = {}): Layer.Layer<
  Tickets,
  never,
  RedisConnection
> =>
  Layer.effect(
    Tickets,
    Effect.gen(function* () {
      const { command, prefix } = yield* RedisConnection
      const ids = yield* RandomIds
      const keyOf = (ticket: string) => `${prefix}:ticket:${digest("name", ticket).toString("base64url")}`
      return Tickets.of({
        issue: (value) =>
          Effect.suspend(() => {
            const ticket = ids.uuid()
            return Effect.as(
              command("set", [keyOf(ticket), sealed(ticket, value), "px", ticket_ms, "nx"], Reply.text),
              ticket,
            )
          }).pipe(Effect.mapError(unavailable)),
        redeem: (ticket) =>
          command("getdel", [keyOf(ticket)], (reply) =>
            Option.map(Option.fromUndefinedOr(Reply.bytes(reply)), (stored) => opened(ticket, stored)),
          ).pipe(Effect.mapError(unavailable)),
      })
    }),
  )

/** The tickets of a cluster. */
export const layer = layerWith()

const unavailable = () => new AuthUnavailable({ reason: "tickets can't be kept now: Redis does not respond" })

/** Of the ticket two things that say nothing of each other: where its value is kept, and how it is sealed. */
const digest = (purpose: "name" | "seal", ticket: string): Buffer =>
  createHash("sha256").update(`nimbus ticket ${purpose} `).update(ticket).digest()

const cipher = "aes-256-gcm"
/** Each ticket is a key of its own, and seals one value: it needs no other nonce. */
const nonce = new Uint8Array(12)
const tag_bytes = 16

const sealed = (ticket: string, value: string): Buffer => {
  const seal = createCipheriv(cipher, digest("seal", ticket), nonce)
  const content = Buffer.concat([seal.update(value, "utf8"), seal.final()])
  return Buffer.concat([seal.getAuthTag(), content])
}

/** Throws where this is not what `sealed` made of the same ticket: somebody else has written it. */
const opened = (ticket: string, stored: Buffer): string => {
  const seal = createDecipheriv(cipher, digest("seal", ticket), nonce, { authTagLength: tag_bytes })
  seal.setAuthTag(stored.subarray(0, tag_bytes))
  return Buffer.concat([seal.update(stored.subarray(tag_bytes)), seal.final()]).toString("utf8")
}
