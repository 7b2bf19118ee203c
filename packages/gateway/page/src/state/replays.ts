/**
 * How far the clients are that replay: from how their mailboxes empty, picture by picture.
 *
 * `waiting` falls while a client takes its mail. The most that was seen waiting since it was last LIVE is the whole; what
 * is gone of it is the progress; and how fast it falls, smoothed, says how long the rest takes. Only clients of the last
 * picture are remembered, so this is no larger than a snapshot.
 */
import type { ClientRow, Pulse } from "@nimbus/domain/admin"
import { pageLimits } from "../Limits.ts"

export interface Replay {
  /** When `waiting` was seen to change. */
  readonly at: number
  readonly waiting: number
  /** The most that waited. */
  readonly total: number
  /** Results per second that leave the mailbox. 0: not known yet, or it does not empty. */
  readonly rate_per_s: number
}

export type Replays = ReadonlyMap<string, Replay>

/** Of the newest rate, in the smoothed one. */
const weight = 0.5

export const observe = (before: Replays, rows: ReadonlyArray<ClientRow>, at: number): Replays =>
  new Map(
    rows
      .filter(({ status }) => status !== "LIVE")
      .map((row) => [row.clientId, next(before.get(row.clientId), row, at)] as const),
  )

const next = (before: Replay | undefined, { status, waiting }: ClientRow, at: number): Replay => {
  if (before === undefined || status === "OFFLINE" || at <= before.at) {
    return { at, waiting, total: Math.max(waiting, before?.total ?? 0), rate_per_s: 0 }
  }
  // Nothing new is known of it, or it takes a break; after a while it is stuck.
  if (waiting === before.waiting) return at - before.at < pageLimits.stuck_ms ? before : { ...before, rate_per_s: 0 }
  const rate = Math.max(0, ((before.waiting - waiting) * 1000) / (at - before.at))
  return {
    at,
    waiting,
    total: Math.max(before.total, waiting),
    rate_per_s: before.rate_per_s === 0 ? rate : weight * rate + (1 - weight) * before.rate_per_s,
  }
}

/** Seconds over which the rate of replays is taken: a slow client takes a window full of results, and then none for a while. */
const smoothed_pulses = 5

/** Results per second that came from mailboxes here, of late. */
export const here_per_s = (pulses: ReadonlyArray<Pulse>): number => {
  const newest = pulses.slice(-smoothed_pulses)
  return newest.reduce((sum, { replayed_per_s }) => sum + replayed_per_s, 0) / Math.max(1, newest.length)
}

/** Results per second that leave the mailboxes of those that replay at other gateways than this one. */
export const elsewhere_per_s = (replays: Replays, rows: ReadonlyArray<ClientRow>, pod: string | undefined): number =>
  rows.reduce(
    (sum, row) =>
      row.status === "REPLAYING" && row.pod !== pod ? sum + (replays.get(row.clientId)?.rate_per_s ?? 0) : sum,
    0,
  )

/** From 0 to 1. */
export const progress = ({ total, waiting }: Replay): number => (total === 0 ? 1 : 1 - waiting / total)

/** Absent: nothing says how long it takes. */
export const left_ms = ({ rate_per_s, waiting }: Replay): number | undefined =>
  rate_per_s === 0 ? undefined : (waiting * 1000) / rate_per_s
