/**
 * The hops of one event, from steps that were found here and there: in order of the protocol, not of clocks that differ.
 *
 * ```
 *   accepted ─▶ logged ─▶ handled ─┬▶ routed ─▶ pushed ────────────────┬▶ sent ─▶ acknowledged
 *                                  ├▶ shelved, or diverted ─▶ put ─────┤
 *                                  └▶ (direct delivery) ───────────────┘
 * ```
 *
 * 1. Every step that was found is one hop. Found more often, it is the first of them, and says how often it came again.
 * 2. A step is `Missing` if it must have happened, since something after it is known to have. What comes after the last
 *    thing known is not told of at all: it may not have happened yet.
 * 3. Which way an event took is never guessed: where both are possible, the hop names both.
 */
import { type JourneyStep, rules, type StepName } from "../protocol/Journey.ts"
import type { JourneyHop, JourneyView } from "./Views.ts"

/** Steps as they were found, in any order, any of them more than once; and what else is known of the record's place. */
export const hopsOf = (found: ReadonlyArray<JourneyStep>, place: JourneyView["place"]): ReadonlyArray<JourneyHop> => {
  const seen = merge(found)
  const origin_ms = order.flatMap((step) => seen.get(step)?.step.time ?? [])[0] ?? 0
  const steps = order.filter((step) => seen.has(step))
  const last = Math.max(reached[place], ...steps.map(rankOf))
  return expected(new Set(steps), sentBy(found), place).flatMap(({ or, step }): ReadonlyArray<JourneyHop> => {
    const there = seen.get(step)
    if (there !== undefined) {
      return [{ _tag: "Seen", step: there.step, since_ms: there.step.time - origin_ms, repeats: there.repeats }]
    }
    return rankOf(step) > last ? [] : [{ _tag: "Missing", step, ...(or === undefined ? {} : { or }) }]
  })
}

/** The order of the protocol. */
const order: ReadonlyArray<StepName> = [
  "accepted",
  "logged",
  "handled",
  "routed",
  "pushed",
  "diverted",
  "shelved",
  "put",
  "sent",
  "acknowledged",
]

const rankOf = (step: StepName): number => order.indexOf(step)

/** The step that a record in this place has certainly taken. */
const reached: Readonly<Record<JourneyView["place"], number>> = {
  unknown: -1,
  events: rankOf("logged"),
  tasks: rankOf("handled"),
  results: rankOf("handled"),
  mailbox: rankOf("put"),
  acknowledged: rankOf("acknowledged"),
}

interface Expected {
  readonly step: StepName
  /** The other step that may have been taken in its place. */
  readonly or?: StepName
}

/** What was seen, and what must be before something later on the same way. */
const expected = (
  seen: ReadonlySet<StepName>,
  sent: ReadonlySet<string>,
  place: JourneyView["place"],
): ReadonlyArray<Expected> => [
  { step: "accepted" },
  { step: "logged" },
  { step: "handled" },
  ...way(seen, sent, place),
  { step: "sent" },
  { step: "acknowledged" },
]

/** By which rules it was sent: that tells the way that it took there. */
const sentBy = (found: ReadonlyArray<JourneyStep>): ReadonlySet<string> =>
  new Set(found.flatMap(({ details, step }) => (step === "sent" ? (details?.["rule"] ?? []) : [])))

const way = (
  seen: ReadonlySet<StepName>,
  sent: ReadonlySet<string>,
  place: JourneyView["place"],
): ReadonlyArray<Expected> => {
  const only = (...steps: ReadonlyArray<StepName>): ReadonlyArray<Expected> =>
    steps.filter((step) => seen.has(step)).map((step) => ({ step }))
  const isSpilled = seen.has("diverted") || seen.has("shelved")
  if (isSpilled || seen.has("put") || sent.has(rules.sentFromMailbox) || place === "mailbox") {
    const why = isSpilled ? only("diverted", "shelved") : [{ step: "shelved", or: "diverted" } as const]
    // Only what was routed can be diverted.
    const before = seen.has("diverted") || seen.has("pushed") ? [{ step: "routed" } as const] : only("routed")
    return [...before, ...only("pushed"), ...why, { step: "put" }]
  }
  if (seen.has("pushed") || sent.has(rules.sentFromPush)) return [{ step: "routed" }, { step: "pushed" }]
  if (seen.has("routed")) return [{ step: "routed" }, { step: "pushed", or: "diverted" }]
  // Direct delivery reads the results topic itself.
  return sent.has(rules.sentFromLog) ? [] : [{ step: "routed", or: "shelved" }]
}

interface Merged {
  readonly step: JourneyStep
  readonly repeats: number
}

/** By step: the first, and how many others there are. The same step found twice is one. */
const merge = (found: ReadonlyArray<JourneyStep>): ReadonlyMap<StepName, Merged> => {
  const distinct = [...new Map(found.map((step) => [identity(step), step])).values()].sort(byTime)
  const merged = new Map<StepName, Merged>()
  for (const step of distinct) {
    const first = merged.get(step.step)
    merged.set(step.step, first === undefined ? { step, repeats: 0 } : { ...first, repeats: first.repeats + 1 })
  }
  return merged
}

const identity = ({ details, instance, service, step, time }: JourneyStep): string =>
  JSON.stringify([time, service, instance, step, Object.entries(details ?? {}).sort()])

const byTime = (a: JourneyStep, b: JourneyStep): number => a.time - b.time || (identity(a) < identity(b) ? -1 : 1)
