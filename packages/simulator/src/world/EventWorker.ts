/**
 * The event consumer's shell around the production `EventOrder` (the back-office worker): reads the events topic in order,
 * runs handlers, which end when they like, and produces what the order lets leave.
 *
 * One that was given up lives on and produces late.
 */
import {
  clientIdUnsafe,
  EventOrder,
  finishedAbove,
  Incarnation,
  type OrderItem,
  seqUnsafe,
} from "@nimbus/domain/protocol"
import type { Committed } from "@nimbus/domain/services"
import { outcomeOf } from "./Facts.ts"
import type { Did, Parts } from "./Parts.ts"

const incarnation = Incarnation.make("world")

interface Produce {
  readonly of: ReadonlyArray<OrderItem>
  isAppended: boolean
}

export class EventWorker {
  readonly name: string
  private readonly parts: Parts
  private readonly order: EventOrder<OrderItem>
  private running: ReadonlyArray<OrderItem> = []
  private underWay: ReadonlyArray<Produce> = []

  /** `committed`: what it begins with. */
  constructor(name: string, parts: Parts, committed: Committed) {
    this.name = name
    this.parts = parts
    this.order = new EventOrder(parts.limits.order, committed.next, finishedAbove(committed, incarnation))
  }

  get commit(): Committed {
    return this.order.finished.committed(incarnation)
  }

  /** How many above its commit are finished. */
  get finishedAbove(): number {
    return this.order.finished.finishedAbove
  }

  /** Reads the next `max` events; handlers begin. */
  take(max: number): Did {
    const { finished } = this.order
    const chunk = this.order.wantsMore ? this.parts.events.read(finished.end, max) : undefined
    if (chunk === undefined) return undefined
    this.order.read(chunk)
    for (const { offset } of chunk.records) if (!finished.has(offset)) this.begin(this.itemAt(offset))
    return `${this.name} takes events [${chunk.from}, ${chunk.next})`
  }

  /** Reads one event again of which only the offset was kept. */
  takeAgain(): Did {
    const offset = this.order.missing
    if (offset === undefined) return undefined
    this.order.refill(this.itemAt(offset))
    this.pump()
    return `${this.name} takes event ${offset} again`
  }

  /** A handler ends, 0 being the one that has run longest; the next may begin. */
  end(at = 0): Did {
    const item = this.running[at]
    if (item === undefined) return undefined
    this.running = this.running.toSpliced(at, 1)
    this.order.ended(item, item.bytes)
    this.pump()
    return `${this.name} has handled event ${item.offset}`
  }

  /** Produces up to `max` of what may leave. */
  produce(max: number): Did {
    const of = this.order.takeBatch(max, Infinity)
    if (of === undefined) return undefined
    this.underWay = [...this.underWay, { of, isAppended: false }]
    return `${this.name} produces results of events ${offsetsOf(of)}`
  }

  /** The results topic takes a produce, 0 being the oldest; once more if it is repeated. */
  append(at = 0): Did {
    const produce = this.underWay[at]
    if (produce === undefined) return undefined
    for (const { key, offset } of produce.of) {
      const value = outcomeOf(seqUnsafe(offset), this.parts.events.at(offset).value, this.name)
      this.parts.results.append(clientIdUnsafe(key), value)
      this.parts.observe({ _tag: "Handles", seq: seqUnsafe(offset) })
    }
    produce.isAppended = true
    return `${this.name}: results of events ${offsetsOf(produce.of)} end at ${this.parts.results.end}`
  }

  /** A produce is acknowledged: what it had is finished. */
  confirm(at = 0): Did {
    const produce = this.underWay[at]
    if (produce?.isAppended !== true) return undefined
    this.underWay = this.underWay.toSpliced(at, 1)
    this.order.acknowledged()
    return `${this.name} hears that results of events ${offsetsOf(produce.of)} are there`
  }

  private itemAt(offset: number): OrderItem {
    const { key, value } = this.parts.events.at(offset)
    return { offset, key, bytes: 1, isHandled: value._tag === "Event" }
  }

  private begin(item: OrderItem): void {
    if (this.order.add(item)) this.running = [...this.running, item]
    this.pump()
  }

  private pump(): void {
    for (let item = this.order.next(); item !== undefined; item = this.order.next()) {
      this.running = [...this.running, item]
    }
  }
}

const offsetsOf = (items: ReadonlyArray<OrderItem>): string => items.map(({ offset }) => offset).join(", ")
