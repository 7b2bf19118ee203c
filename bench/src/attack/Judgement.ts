/**
 * What is promised while somebody attacks, and whether an attack has broken it.
 *
 * | promise | broken where |
 * | --- | --- |
 * | the process lives | it has ended, is not ready, or has logged an error |
 * | honest clients are served | p99 of send to result is at or above 500 ms, or nothing was shown |
 * | exactly once, in order | a result is missing, comes twice or out of order, or an event is refused |
 * | memory returns | without garbage it is more than 128 MB above what it was before the first attack |
 * | connections return | sessions, sockets or handles are more than before the first attack |
 *
 * 1. Memory is that of V8's heap and the buffers beside it. It is compared with what was there before the *first* attack, so
 *    that what each of many attacks leaves adds up. The log keeps 64 MB of the newest records, which hold at most twice their
 *    bytes.
 * 2. An attack that did not take place, and an honest client that did not send, prove nothing: they are breaches too. So is
 *    a figure that was not measured.
 */
import { localLogLimits } from "@nimbus/domain/limits"
import type { Vitals } from "../fuzz/Server.ts"
import type { AttackReport, Window } from "./Talks.ts"

export const promised = {
  /** From send to result. */
  p99_ms: 500,
  /** What memory without garbage may be above what it was before the first attack. */
  grown_bytes: 2 * localLogLimits.tail_cache_bytes,
  /** Files that the stores may have opened meanwhile. */
  files: 16,
  /** Of the 20 events a second, the part that the honest client must have sent for its figures to say anything. */
  sent_share: 0.5,
}

/** As a server is between attacks. */
export interface Rest extends Vitals {
  readonly connections: number
}

export interface Siege {
  readonly seconds: number
  /** Below it the honest client's p99 must be. */
  readonly p99_ms: number
  readonly attack: AttackReport
  readonly honest: Window
  /** Before the first attack. */
  readonly first: Rest
  /** After this one, when it had settled, or had its time to. */
  readonly after: Rest
  readonly isReady: boolean
  /** Lines that the server has logged as errors meanwhile. */
  readonly errors: number
}

export const breachesOf = (siege: Siege): ReadonlyArray<string> => {
  const { after, attack, errors, first, honest, isReady, p99_ms, seconds } = siege
  return [
    isReady ? [] : ["the process is not ready"],
    errors === 0 ? [] : [`${errors} lines of errors`],
    attack.sent > 0 ? [] : ["the attack did not take place"],
    honest.sent >= promised.sent_share * 20 * seconds ? [] : [`the honest client has sent only ${honest.sent} events`],
    lateness(honest, p99_ms),
    counted("missing", honest.missing),
    counted("repeated", honest.repeated),
    counted("out of order", honest.disordered),
    counted("refused", honest.refused),
    notBack(first, after),
  ].flat()
}

const lateness = ({ p99_ms }: Window, below_ms: number): ReadonlyArray<string> => {
  if (p99_ms === undefined) return ["nothing was shown to the honest client"]
  return p99_ms < below_ms ? [] : [`the honest client's p99 is ${p99_ms.toFixed(0)} ms`]
}

const counted = (what: string, count: number): ReadonlyArray<string> => (count === 0 ? [] : [`${count} ${what}`])

/** What has not returned. */
export const notBack = (first: Rest, now: Rest): ReadonlyArray<string> =>
  [
    above("MB without garbage", megabytes(now.memory_bytes), megabytes(first.memory_bytes + promised.grown_bytes)),
    above("sessions", now.connections, first.connections),
    above("sockets", now.sockets, first.sockets),
    above("handles", now.handles, first.handles + promised.files),
  ].flat()

/** What is no number is not below anything. */
const above = (what: string, now: number, most: number): ReadonlyArray<string> =>
  now <= most ? [] : [`${now} ${what}, more than ${most}`]

const megabytes = (bytes: number): number => Math.round(bytes / 1024 / 1024)
