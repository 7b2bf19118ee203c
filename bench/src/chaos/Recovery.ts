/** How long it takes until everything is well again after a fault: all clients LIVE, and each with a fresh answer. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Fault } from "./Faults.ts"
import type { Fleet } from "./Fleet.ts"

export interface Recovery {
  readonly name: string
  /** From the strike until what was taken away was back. */
  readonly away_ms: number
  /** From the strike until every client had the answer to an event sent after it. */
  readonly answered_ms: number
  /** From the strike until all clients were LIVE and stayed so; 0: none ever left. */
  readonly live_ms: number
}

const within_ms = 60_000
/** All must be well for so long to be well. */
const steady_ms = 500

/** Lets the fault strike, mends it, and waits until all is well; times count from the strike, or from when it is done. */
export const recover = async (fault: Fault, fleet: Fleet): Promise<Recovery> => {
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
    while (!(fleet.isWell && since() - Math.max(live_ms, away_ms) >= steady_ms)) {
      if (since() - away_ms > within_ms) throw new Error(`${fault.name}: not well again in time: ${describe(fleet)}`)
      if (fleet.progress.failures.length > 0) throw new Error(`${fault.name}: ${fleet.progress.failures.join("\n")}`)
      await sleep(25)
    }
    return { name: fault.name, away_ms, answered_ms, live_ms }
  } finally {
    stop()
  }
}

export const describe = (fleet: Fleet): string => {
  const { accepted, answered, live, shown } = fleet.progress
  return `${live} of ${fleet.size} LIVE, ${answered} answered, ${accepted} accepted, ${shown} shown`
}
