/** How long it takes until everything is well again after a fault: all clients LIVE, and each with a fresh answer. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Fault } from "./Faults.ts"
import type { Fleet } from "./Fleet.ts"
import { type Breaches, since as comeSince } from "./Ledger.ts"

export interface Recovery {
  readonly name: string
  /** From the strike until what was taken away was back. */
  readonly away_ms: number
  /** From the strike until every client had the answer to an event sent after it. */
  readonly answered_ms: number
  /** From the strike until all clients were LIVE and stayed so; 0: none ever left. */
  readonly live_ms: number
  /** What clients saw of it that they should not have. */
  readonly breaches: Breaches
}

/** Beside what many clients take to come back. */
const within_ms = 90_000
const each_client_ms = 30
/** All must be well for so long to be well. */
const steady_ms = 500

/**
 * Lets the fault strike, mends it, and waits until all is well; times count from the strike, or from when it is done.
 * `check` throws when there is nothing more to wait for.
 */
export const recover = async (fault: Fault, fleet: Fleet, check = () => {}): Promise<Recovery> => {
  const before = await fleet.review()
  let began = performance.now()
  const since = () => performance.now() - began
  await fault.strike()
  if (fault.isCountedAfter === true) began = performance.now()
  await fleet.mark()
  let [answered_ms, live_ms] = [Number.NaN, 0]
  const stop = fleet.watch(({ answered, live }) => {
    if (live < fleet.size) live_ms = since()
    if (answered === fleet.size && Number.isNaN(answered_ms)) answered_ms = since()
  })
  try {
    await fault.mend()
    const away_ms = since()
    check()
    while (!(fleet.isWell && since() - Math.max(live_ms, away_ms) >= steady_ms)) {
      if (since() - away_ms > within_ms + each_client_ms * fleet.size)
        throw new Error(`${fault.name}: not well again in time: ${describe(fleet)}`)
      if (fleet.progress.failures.length > 0) throw new Error(`${fault.name}: ${fleet.progress.failures.join("\n")}`)
      check()
      await sleep(25)
    }
    // Each client has the answer to something that it sent after the strike: what came before is complete.
    const breaches = comeSince(before.breaches, (await fleet.review()).breaches)
    return { name: fault.name, away_ms, answered_ms, live_ms, breaches }
  } finally {
    stop()
  }
}

export const describe = (fleet: Fleet): string => {
  const { accepted, answered, live, shown } = fleet.progress
  return `${live} of ${fleet.size} LIVE, ${answered} answered, ${accepted} accepted, ${shown} shown`
}
