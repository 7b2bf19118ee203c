/** An alarm for tasks that wait because this process has none of their name, as while an older version still runs. */
import { Effect, type Scope } from "effect"
import { Alarms } from "@nimbus/domain/services"

const code = "TASK_UNKNOWN"

/** Takes how many wait, by name. */
export const make = Effect.fnUntraced(function* (
  partition: number,
  known: ReadonlyMap<string, unknown>,
): Effect.fn.Return<(waiting: ReadonlyMap<string, number>) => Effect.Effect<void>, never, Scope.Scope> {
  const alarms = yield* Alarms
  const subject = `tasks of partition ${partition}`
  let isTold = false
  const clear = Effect.suspend(() => {
    if (!isTold) return Effect.void
    isTold = false
    return alarms.clear(subject, code)
  })
  yield* Effect.addFinalizer(() => clear)
  return (waiting) => {
    const names = [...waiting].filter(([name, count]) => count > 0 && !known.has(name))
    if (names.length === 0) return clear
    isTold = true
    const list = names.map(([name, count]) => `${count} of ${JSON.stringify(name)}`).join(", ")
    const message = `${subject} wait whose names this process does not have: ${list}`
    return alarms.raise(subject, { code, message }, { blocks: false })
  }
})
