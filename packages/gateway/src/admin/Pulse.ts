/** Rates and latencies between two looks at counters that only grow. */
import type { Pulse } from "@nimbus/domain/admin"

/** A look at the counters. */
export interface Reading {
  /** ms since 1970. */
  readonly at: number
  readonly accepted: number
  readonly delivered: number
  /** Of those delivered, from mailboxes. */
  readonly replayed: number
  /** Cumulative, as Prometheus has it: how many were at or below each bound, bounds rising. */
  readonly latency: ReadonlyArray<Bucket>
  /** The ends of the topics, over all partitions. `undefined`: nobody looked. */
  readonly ends: { readonly events: number; readonly results: number; readonly dlq: number } | undefined
}

/** How many took `bound_s` seconds at most. */
export type Bucket = readonly [bound_s: number, count: number]

export const pulseOf = (before: Reading, after: Reading): Pulse => {
  const perSecond = (from: number, to: number) => (Math.max(0, to - from) * 1_000) / Math.max(1, after.at - before.at)
  const between = difference(before.latency, after.latency)
  const p50 = quantile(between, 0.5)
  const p99 = quantile(between, 0.99)
  return {
    at: after.at,
    accepted_per_s: perSecond(before.accepted, after.accepted),
    delivered_per_s: perSecond(before.delivered, after.delivered),
    replayed_per_s: perSecond(before.replayed, after.replayed),
    ...(before.ends !== undefined &&
      after.ends !== undefined && {
        topics: {
          events_per_s: perSecond(before.ends.events, after.ends.events),
          results_per_s: perSecond(before.ends.results, after.ends.results),
          dlq_per_s: perSecond(before.ends.dlq, after.ends.dlq),
        },
      }),
    ...(p50 !== undefined && p99 !== undefined && { latency: { p50_ms: p50 * 1_000, p99_ms: p99 * 1_000 } }),
  }
}

const difference = (before: ReadonlyArray<Bucket>, after: ReadonlyArray<Bucket>): ReadonlyArray<Bucket> =>
  after.map(([bound, count], i) => [bound, count - (before[i]?.[1] ?? 0)])

/**
 * The value below which this part of all lies, as `histogram_quantile` of Prometheus has it: linear within a bucket, and
 * the highest bound where it lies beyond that. `undefined`: there was nothing.
 */
export const quantile = (buckets: ReadonlyArray<Bucket>, part: number): number | undefined => {
  const all = buckets.at(-1)?.[1] ?? 0
  if (all === 0) return undefined
  const rank = part * all
  let below: Bucket = [0, 0]
  for (const bucket of buckets) {
    if (bucket[1] >= rank) return within(below, bucket, rank)
    below = bucket
  }
  return below[0]
}

const within = ([from, before]: Bucket, [to, upTo]: Bucket, rank: number): number => {
  if (!Number.isFinite(to)) return from
  return upTo === before ? to : from + ((to - from) * (rank - before)) / (upTo - before)
}
