/**
 * The sweep: each session is periodically written to the registry again and its mailbox looked into, so that
 * neither is ever idle. What was lost on the way (a `Mail`, a `Nack`, a presence in a registry that was wiped) is found
 * again here.
 *
 * It goes round in slices, so that a gateway never asks for everything at once.
 */
import type { ClientId } from "@nimbus/domain/protocol"
import type { Mailbox } from "@nimbus/domain/services"
import { Effect } from "effect"
import type { GatewayLimits } from "../Limits.ts"
import type { Counts } from "../Metrics.ts"
import type { Presences } from "./Presences.ts"
import type { Connection } from "./Connection.ts"

/** Returns the effect that sweeps the next `count` sessions. */
export const makeSweep = (
  sessions: ReadonlyMap<ClientId, Connection>,
  presences: Presences,
  mailbox: Mailbox["Service"],
  counts: Counts,
): ((count: number) => Effect.Effect<void>) => {
  const next = goRound(sessions)
  return (count) => {
    const connections = next(count)
    if (connections.length === 0) return Effect.void
    for (const connection of connections) {
      presences.write(connection.presence)
      connection.trim()
    }
    const asked = connections.map(({ clientId, upTo }) => ({ clientId, after: upTo }))
    return Effect.match(mailbox.waiting(asked, true), {
      onFailure: () => counts.addTo("failed", "look into mailboxes"),
      onSuccess: (waiting) =>
        connections.forEach((connection, i) => {
          if (waiting[i] !== true) return
          connection.mail()
          connection.carryOut()
        }),
    })
  }
}

/** The next `count` sessions; a round ends early, so that none is taken twice at a time. */
const goRound = (sessions: ReadonlyMap<ClientId, Connection>) => {
  let round = sessions.values()
  return (count: number): ReadonlyArray<Connection> => {
    const taken: Array<Connection> = []
    while (taken.length < count) {
      const next = round.next()
      if (next.done === true) {
        round = sessions.values()
        break
      }
      taken.push(next.value)
    }
    return taken
  }
}

/**
 * How many sessions a tick sweeps: all within `sweep_ms`. After a loss twice all, each time within
 * `sweep_after_loss_ms`: the second time finds what came into a mailbox before the first had told the registry whose it
 * is.
 */
export const makeHurry = (size: () => number, { sweep_after_loss_ms, sweep_ms, tick_ms }: GatewayLimits) => {
  let left = 0
  return {
    begin(): void {
      left = 2 * size()
    },
    slice(): number {
      const usual = Math.ceil((size() * tick_ms) / sweep_ms)
      const hurried = Math.min(left, Math.ceil((size() * tick_ms) / sweep_after_loss_ms))
      left -= hurried
      return Math.max(usual, hurried)
    },
  }
}
