/** The end of a run: what was accepted held against what was shown. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Fleet } from "./Fleet.ts"
import { isSound } from "./Ledger.ts"

const within_ms = 60_000

/** Lets everything that was accepted come, compares, and prints; whether all is as it was promised. */
export const judge = async (fleet: Fleet): Promise<boolean> => {
  await fleet.finish()
  const deadline = performance.now() + within_ms
  const isDone = () => fleet.isWell && fleet.progress.openTasks === 0
  while (!isDone() && performance.now() < deadline) await sleep(50)
  const { breaches, details } = await fleet.judge()
  const { accepted, answered, failures, live, openTasks, shown, tasks } = fleet.progress
  const { foreign, lost, outOfOrder, repeated } = breaches
  console.log(
    `${fleet.size} clients, ${accepted} accepted, ${shown} shown: ` +
      `${lost} lost, ${repeated} repeated, ${outOfOrder} out of order, ${foreign} foreign; ${live} LIVE, ${answered} answered` +
      (tasks === 0 ? "" : `; ${tasks} tasks, ${openTasks} without an end`),
  )
  for (const line of [...failures, ...details.slice(0, 10)]) console.log(line)
  return isSound(breaches) && isDone() && failures.length === 0 && accepted > fleet.size
}
