/**
 * What one subject has sent to one client that may still wait in its mailbox. A mailbox that is full lets its oldest go,
 * whoever sent it, so that each sender may have a share of it alone: a stranger's flood pushes out no other sender's mail.
 *
 * ```
 *   take ──▶ counted ── stored(seq) ──▶ counted until acknowledged, or not in the mailbox
 *                  └─── failed ──▶ gone
 *   settle, with what the mailbox says, when there is no room
 * ```
 *
 * 1. What is acknowledged, or was removed, does not wait any more. A mailbox hears of acks late, or not at all where its
 *    client is LIVE: what was sent `mail_settle_ms` ago waits as far as the mailbox has as much in it.
 * 2. Of a pair at most `segments` are remembered, and of pairs `mail_pairs`: those by which was sent most lately
 *    (`Generations`).
 *
 * Deterministic: the caller says what time it is.
 */
import type { MailboxStats } from "@nimbus/domain/services"
import type { SubjectLimits } from "../Limits.ts"
import { Generations } from "../Generations.ts"

/** Some messages. */
export interface Mail {
  readonly messages: number
  readonly bytes: number
}

/** What has become of them. One of both is called. */
export interface Taken {
  /** The log has them, the last at this seq. */
  stored(seq: number): void
  failed(): void
}

interface Segment {
  /** Until it is stored: Infinity. */
  upTo: number
  messages: number
  bytes: number
  at_ms: number
}

const segments = 16

type Limits = Pick<
  SubjectLimits,
  "mail_bytes" | "mail_messages" | "mail_pairs" | "mail_settle_ms" | "connections_retry_ms"
>

export class MailBook {
  private readonly limits: Limits
  private readonly pairs: Generations<Array<Segment>>

  constructor(limits: Limits) {
    this.limits = limits
    this.pairs = new Generations(limits.mail_pairs)
  }

  /** Pairs that are remembered. */
  get size(): number {
    return this.pairs.size
  }

  /** Counts them, if there is room. */
  take(owner: string, client: string, mail: Mail, now_ms: number): Taken | undefined {
    const key = keyOf(owner, client)
    const sent = this.pairs.get(key) ?? []
    const { bytes, messages } = sumOf(sent)
    const { mail_bytes, mail_messages } = this.limits
    const fits = bytes + mail.bytes <= mail_bytes && messages + mail.messages <= mail_messages
    if (!fits && sent.length > 0) return undefined
    const segment: Segment = { upTo: Infinity, ...mail, at_ms: now_ms }
    sent.push(segment)
    this.pairs.set(key, sent)
    return {
      stored: (seq) => {
        segment.upTo = seq
        shorten(sent)
      },
      failed: () => {
        const at = sent.indexOf(segment)
        if (at >= 0) sent.splice(at, 1)
        if (sent.length === 0 && this.pairs.get(key) === sent) this.pairs.delete(key)
      },
    }
  }

  /** What the mailbox says: `take` may find room now. Otherwise: how long to wait. */
  settle(
    owner: string,
    client: string,
    { acked, bytes, floor, results }: MailboxStats,
    now_ms: number,
  ): { readonly retry_ms: number } {
    const key = keyOf(owner, client)
    const { connections_retry_ms, mail_settle_ms } = this.limits
    const sent = this.pairs.get(key) ?? []
    const gone = Math.max(acked, floor)
    const left = sent.filter(({ upTo }) => upTo > gone)
    const isLate = ({ at_ms, upTo }: Segment) => upTo !== Infinity && Math.abs(now_ms - at_ms) >= mail_settle_ms
    const recent = left.filter((segment) => !isLate(segment))
    const late = joined(left.filter(isLate))
    if (late !== undefined) {
      late.bytes = Math.min(late.bytes, bytes)
      late.messages = Math.min(late.messages, results)
    }
    sent.splice(0, sent.length, ...(late === undefined || late.messages === 0 ? [] : [late]), ...recent)
    if (sent.length === 0) this.pairs.delete(key)
    const [first] = recent
    if (first === undefined) return { retry_ms: connections_retry_ms }
    return { retry_ms: Math.max(1, Math.ceil(mail_settle_ms - Math.abs(now_ms - first.at_ms))) }
  }
}

const keyOf = (owner: string, client: string): string => `${owner} ${client}`

const sumOf = (sent: ReadonlyArray<Segment>): Mail => {
  let [bytes, messages] = [0, 0]
  for (const segment of sent) {
    bytes += segment.bytes
    messages += segment.messages
  }
  return { bytes, messages }
}

/** As one, which is as late as the last of them. */
const joined = (some: ReadonlyArray<Segment>): Segment | undefined => {
  if (some.length === 0) return undefined
  const last = (name: "upTo" | "at_ms") => Math.max(...some.map((segment) => segment[name]))
  return { upTo: last("upTo"), at_ms: last("at_ms"), ...sumOf(some) }
}

/** The first two that are stored become one, while there are too many. */
const shorten = (sent: Array<Segment>): void => {
  const stored = sent.filter(({ upTo }) => upTo !== Infinity)
  const [one, other] = stored
  if (stored.length <= segments || one === undefined || other === undefined) return
  const both = joined([one, other])
  if (both === undefined) return
  Object.assign(other, both)
  sent.splice(sent.indexOf(one), 1)
}
