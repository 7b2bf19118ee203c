/**
 * What stands beside a record in the quarantine topic, whose bytes are as they were.
 *
 * | header | |
 * | --- | --- |
 * | `nimbus-quarantine-reason` | what is wrong with it, cut at 512 characters |
 * | `nimbus-quarantine-topic`, `…-partition`, `…-offset` | where it stood |
 * | `nimbus-quarantine-time` | when it was refused, ms since 1970 |
 */
import type { Headers } from "./Records.ts"

/** The headers of a record in the quarantine topic. */
export const headers = {
  reason: "nimbus-quarantine-reason",
  topic: "nimbus-quarantine-topic",
  partition: "nimbus-quarantine-partition",
  offset: "nimbus-quarantine-offset",
  time: "nimbus-quarantine-time",
}

/** What these headers say. */
export interface Label {
  readonly reason: string
  readonly from: { readonly topic: string; readonly partition: number; readonly offset: number }
  /** When it was refused, in ms since 1970. */
  readonly time: number
}

const reason_chars = 512

/** The headers that say it. The reason is cut at 512 characters. */
export const encode = ({ from, reason, time }: Label): Headers => ({
  [headers.reason]: reason.slice(0, reason_chars),
  [headers.topic]: from.topic,
  [headers.partition]: String(from.partition),
  [headers.offset]: String(from.offset),
  [headers.time]: String(time),
})

/** `undefined`: not all of it is there, so somebody else wrote the record. */
export const decode = (found: Headers | undefined): Label | undefined => {
  const text = (name: keyof typeof headers): string => found?.[headers[name]] ?? ""
  const [partition, offset, time] = (["partition", "offset", "time"] as const).map((name) => natural(text(name)))
  if (partition === undefined || offset === undefined || time === undefined || text("topic") === "") return undefined
  return { reason: text("reason"), from: { topic: text("topic"), partition, offset }, time }
}

const natural = (text: string): number | undefined => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)
