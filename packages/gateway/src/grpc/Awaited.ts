/**
 * What a call that is half-closed waits for before it ends: the results of its events, the ends of its tasks, and that
 * the log has its cancels.
 *
 * Which of its events open tasks is not known before their first parts. An event that has no result although a later one
 * has is a task, or its result is lost. `lost` forgets all but the newest, as any of them may be gone for good.
 */
import type { ResultRecord } from "./Responses.ts"

export class Awaited {
  private readonly events_at_most: number
  /** How often each id was sent and has not come to its end, the oldest first. */
  private readonly events = new Map<string, number>()
  private cancels = 0

  /** Of more events than this the oldest are not waited for. */
  constructor(events_at_most: number) {
    this.events_at_most = events_at_most
  }

  get isNothing(): boolean {
    return this.events.size === 0 && this.cancels === 0
  }

  sent(id: string): void {
    const times = this.events.get(id) ?? 0
    this.events.delete(id)
    this.events.set(id, times + 1)
    if (this.events.size > this.events_at_most) this.forgetOldest()
  }

  cancelled(): void {
    this.cancels++
  }

  /** The log has so many of the cancels. */
  logged(cancels: number): void {
    this.cancels -= cancels
  }

  /** A part of a task is not its end. */
  saw({ end, id, of }: Pick<ResultRecord, "id" | "of" | "end">): void {
    if (of !== undefined && end === undefined) return
    const event = of ?? id
    const times = this.events.get(event) ?? 0
    if (times > 1) this.events.set(event, times - 1)
    else this.events.delete(event)
  }

  lost(): void {
    while (this.events.size > 1) this.forgetOldest()
  }

  private forgetOldest(): void {
    for (const id of this.events.keys()) return void this.events.delete(id)
  }
}
