/**
 * Decides when to reconnect, and when not to. It is pure: the caller has the clock and the randomness. The wait is a
 * number instead of a `Schedule`, because it depends on how the connection ended, and not only on how often.
 */
import { backoff_ms } from "@nimbus/domain/pacing"
import { type ClientId, closeCodes, type Failure, shouldReconnect } from "@nimbus/domain/protocol"
import {
  BadRequest,
  ClientInUse,
  type ConnectionClosed,
  Forbidden,
  MessageTooBig,
  Superseded,
  TokenRevoked,
  TurnedAway,
  Unauthenticated,
} from "./Errors.ts"
import type { ClientLimits } from "./Limits.ts"

/** Why a client must not reconnect. */
export type Verdict =
  | BadRequest
  | Superseded
  | MessageTooBig
  | Unauthenticated
  | TokenRevoked
  | Forbidden
  | ClientInUse
  | TurnedAway

/**
 * The error with which the client stops, or `undefined` if it should reconnect. `objection`: what the gateway has said on the
 * connection last, which is more precise than its close.
 */
export const verdict = (
  clientId: ClientId,
  { close, reason }: ConnectionClosed,
  objection: Failure | undefined,
): Verdict | undefined => {
  const said = objection === undefined ? reason : `${objection.code}: ${objection.message}`
  switch (close) {
    case closeCodes.unauthenticated.code:
      return new Unauthenticated({ reason: said })
    case closeCodes.revoked.code:
      return new TokenRevoked({ reason: said })
    case closeCodes.forbidden.code:
      return new Forbidden({ reason: said })
    case closeCodes.inUse.code:
      return new ClientInUse({ clientId })
    case closeCodes.superseded.code:
      return new Superseded({ clientId })
    case closeCodes.badRequest.code:
      return new BadRequest({ reason })
    case closeCodes.tooBig.code:
      return new MessageTooBig({ reason })
    default:
      return shouldReconnect(close) ? undefined : new TurnedAway({ close, reason })
  }
}

/** Whether it ended without a close of the gateway, which may then still hold the connection, or even open it later. */
export const isBroken = ({ close }: ConnectionClosed): boolean => close < 4_000

/**
 * How long to wait before the next attempt. `attempt` counts attempts in a row without a lasting connection, from 1.
 * `random` is in [0, 1). The wait is exponential between the limits, minus a random part of at most half. A client that a
 * gateway disconnected waits a random part of `retry_jitter_ms`, so that the clients of a draining gateway do not all
 * reconnect at once.
 */
export const delay_ms = (close: number, attempt: number, random: number, limits: ClientLimits): number => {
  const backoff = backoff_ms(attempt - 1, limits.reconnect_min_ms, limits.reconnect_max_ms)
  const jittered = backoff * (1 - random / 2)
  return isSentAway(close) && attempt === 1 ? random * limits.retry_jitter_ms : jittered
}

const isSentAway = (close: number): boolean => close === closeCodes.goingAway.code || close === closeCodes.kicked.code
