/** One fiber of a process that waits for something to do, which comes from outside of it. */
import { Effect } from "effect"
import type { Process } from "./Process.ts"

export class Demand {
  private look: (() => void) | undefined = undefined

  /** There may be something. */
  wake(): void {
    this.look?.()
  }

  /** What `find` finds; waits until it finds something. */
  take<A>(process: Process, find: () => A | undefined): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      let isDone = false
      const look = (): void => {
        if (isDone) return
        const found = find()
        if (found === undefined) return
        isDone = true
        resume(Effect.succeed(found))
      }
      this.look = () => process.enter(look)
      look()
      return Effect.sync(() => {
        isDone = true
      })
    })
  }
}
