/**
 * When to come back after a connection is over, and when not to. Pure: the caller has the clock and the dice. The wait is a
 * number and no `Schedule`, because it depends on how the connection ended and not only on how often.
 */
import { backoff_ms } from "@nimbus/domain/pacing"
import { type ClientId, closeCodes, shouldReconnect } from "@nimbus/domain/protocol"
import { BadRequest, type ConnectionClosed, MessageTooBig, Superseded, TurnedAway } from "./Errors.ts"
import type { ClientLimits } from "./Limits.ts"

/** The error to stop with, or `undefined` where the client should come back. */
export const verdict = (
  clientId: ClientId,
  { close, reason }: ConnectionClosed,
): BadRequest | Superseded | MessageTooBig | TurnedAway | undefined => {
  switch (close) {
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

/** Whether it ended without the gateway's word, which then may still hold it, or even only come to open it. */
export const isBroken = ({ close }: ConnectionClosed): boolean => close < 4_000

/**
 * How long to wait before the next attempt. `attempt` counts from 1 those in a row without a connection that lasted;
 * `random` is in [0, 1). Exponential between the limits, less a random half; one that was sent away waits a random
 * part of `retry_jitter_ms`, so that a draining gateway's clients do not all arrive at once.
 */
export const delay_ms = (close: number, attempt: number, random: number, limits: ClientLimits): number => {
  const backoff = backoff_ms(attempt - 1, limits.reconnect_min_ms, limits.reconnect_max_ms)
  const jittered = backoff * (1 - random / 2)
  return isSentAway(close) && attempt === 1 ? random * limits.retry_jitter_ms : jittered
}

const isSentAway = (close: number): boolean => close === closeCodes.goingAway.code || close === closeCodes.kicked.code
