/**
 * The event consumer (the back-office worker): reads the events topic in order, writes what becomes of each, has one
 * produce under way. One that was given up lives on and produces late.
 */
import { seqUnsafe } from "../../Ids.ts"
import { outcomeOf } from "./Facts.ts"
import type { Did, Parts } from "./Parts.ts"

export class EventWorker {
  readonly name: string
  private readonly parts: Parts
  private readAt: number
  private produce: { readonly from: number; readonly next: number; isAppended: boolean } | undefined = undefined

  constructor(name: string, parts: Parts, position: number) {
    this.name = name
    this.parts = parts
    this.readAt = position
  }

  /** Everything before it is in the results topic: the commit. */
  get position(): number {
    return this.readAt
  }

  /** Runs the handlers of the next `max` events. */
  take(max: number): Did {
    if (this.produce !== undefined) return undefined
    const chunk = this.parts.events.read(this.readAt, max)
    if (chunk === undefined) return undefined
    this.produce = { from: chunk.from, next: chunk.next, isAppended: false }
    return `${this.name} works on events [${chunk.from}, ${chunk.next})`
  }

  /** The results topic takes the produce; once more if it is repeated. */
  append(): Did {
    if (this.produce === undefined) return undefined
    const { from, next } = this.produce
    for (let seq = from; seq < next; seq++) {
      const { key, value } = this.parts.events.at(seq)
      this.parts.results.append(key, outcomeOf(seqUnsafe(seq), value))
      this.parts.observe({ _tag: "Handles", seq: seqUnsafe(seq) })
    }
    this.produce.isAppended = true
    return `${this.name}: results of events [${from}, ${next}) end at ${this.parts.results.end}`
  }

  /** The produce is acknowledged. */
  confirm(): Did {
    if (this.produce?.isAppended !== true) return undefined
    this.readAt = this.produce.next
    this.produce = undefined
    return `${this.name} is at event ${this.readAt}`
  }
}
