/**
 * What moves between the parts of the system, from one snapshot: the places that keep records, and the ways between
 * them.
 *
 * ```
 *   transports ──▶ events ──▶ results ──▶ backlog ──▶ mailboxes
 *     ▲ ▲                   │                    │
 *     │ └──── pushed ───────┘                    │
 *     └────── replayed ──────────────────────────┘
 * ```
 */
import type { Snapshot } from "@nimbus/domain/admin"
import { count, many, perSecond } from "../format.ts"

export const placeNames = ["transports", "events", "results", "dlq", "mailboxes"] as const
export type PlaceName = (typeof placeNames)[number]

export interface Place {
  readonly title: string
  readonly note: string
  /** Records wait here for somebody who should have come. */
  readonly isBehind: boolean
}

export const wayNames = ["accepted", "handled", "pushed", "spilled", "put", "replayed"] as const
export type WayName = (typeof wayNames)[number]

export interface Way {
  /** Who carries them. */
  readonly carrier: string
  readonly note: string
  readonly pace: "still" | "slow" | "brisk" | "fast"
  /** Its carrier has been stopped. */
  readonly isStopped: boolean
}

export interface Flow {
  readonly places: Readonly<Record<PlaceName, Place>>
  readonly ways: Readonly<Record<WayName, Way>>
}

/** `replayed_per_s`: results per second that come from mailboxes, from all gateways. */
export const flowOf = ({ clients, lag, pulse: { topics: rates }, roles }: Snapshot, replayed_per_s = 0): Flow => {
  const isStopped = (role: string) => roles.some((view) => view.role === role && !view.isRunning)
  const way = (carrier: string, rate: number | undefined, role = carrier.replace(" ", "-")): Way => {
    if (isStopped(role)) return { carrier, note: "stopped", pace: "still", isStopped: true }
    if (rate === undefined) return { carrier, note: "–", pace: "still", isStopped: false }
    return { carrier, note: perSecond(rate), pace: paceOf(rate), isStopped: false }
  }
  const topic = (title: string, lag: number): Place => ({ title, note: `lag ${count(lag)}`, isBehind: lag > behind })
  return {
    places: {
      transports: {
        title: "Transports",
        note: `${count(clients.LIVE + clients.REPLAYING)} connected`,
        isBehind: false,
      },
      events: topic("Events", lag.events),
      results: topic("Results", lag.results),
      dlq: topic("Backlog", lag.dlq),
      mailboxes: { title: "Mailboxes", note: `${many(clients.OFFLINE, "client")} offline`, isBehind: false },
    },
    ways: {
      accepted: way("gateway", rates?.events_per_s),
      handled: way("event consumer", rates?.results_per_s),
      pushed: way("to LIVE clients", rates && Math.max(0, rates.results_per_s - rates.dlq_per_s), "result-consumer"),
      spilled: way("result consumer", rates?.dlq_per_s),
      put: way("replay consumer", rates?.dlq_per_s),
      replayed: {
        carrier: `to ${many(clients.REPLAYING, "REPLAYING client")}`,
        note: perSecond(replayed_per_s),
        pace: paceOf(replayed_per_s),
        isStopped: false,
      },
    },
  }
}

/** After a restart the lag of a topic reads at least one: fewer than this is nothing to point at. */
export const behind = 100

const paceOf = (rate: number): Way["pace"] => {
  if (rate < 0.5) return "still"
  if (rate < 50) return "slow"
  return rate < 2_000 ? "brisk" : "fast"
}

/** In words, for those who don't see the drawing. */
export const inWords = ({ places, ways }: Flow): string => {
  const standing = placeNames.map((name) => `${places[name].title}: ${places[name].note}`)
  const moving = wayNames.map((name) => `${name}, ${ways[name].carrier}: ${ways[name].note}`)
  return `${standing.join(". ")}. ${moving.join(". ")}.`
}
