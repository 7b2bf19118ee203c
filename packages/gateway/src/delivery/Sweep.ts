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
import type { Counts } from "../Metrics.ts"
import type { Presences } from "./Presences.ts"
import type { Resident } from "./Resident.ts"

/** Returns the effect that sweeps the next `count` sessions. */
export const makeSweep = (
  sessions: ReadonlyMap<ClientId, Resident>,
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
const goRound = (sessions: ReadonlyMap<ClientId, Resident>) => {
  let round = sessions.values()
  return (count: number): ReadonlyArray<Resident> => {
    const taken: Array<Resident> = []
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
