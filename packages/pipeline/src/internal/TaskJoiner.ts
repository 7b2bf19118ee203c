/** Lets the parts leave that have waited long enough for others: one timer for all tasks of a partition. */
import { Clock, Effect } from "effect"
import { Changed } from "./Changed.ts"
import type { TaskParts } from "./TaskParts.ts"

export class TaskJoiner {
  private readonly joining = new Set<TaskParts>()
  private readonly changed = new Changed()
  private readonly until = this.changed.waiter()
  private readonly look_ms: number

  /** `look_ms`: the least time between two looks. */
  constructor(look_ms: number) {
    this.look_ms = look_ms
  }

  /** Something of these waits. */
  add(parts: TaskParts): void {
    this.joining.add(parts)
    if (this.joining.size === 1) this.changed.tell()
  }

  /** Never ends. */
  readonly run: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    for (;;) {
      yield* this.until(() => this.joining.size > 0)
      const now_ms = yield* Clock.currentTimeMillis
      let next_ms = Infinity
      for (const parts of this.joining) {
        if (parts.due_ms <= now_ms) parts.flush()
        if (parts.due_ms === Infinity) this.joining.delete(parts)
        else next_ms = Math.min(next_ms, parts.due_ms)
      }
      if (next_ms < Infinity) yield* Effect.sleep(Math.max(this.look_ms, next_ms - now_ms))
    }
  })
}
