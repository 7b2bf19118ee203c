/**
 * The event consumer (the back-office worker): reads the events topic in order, and writes what becomes of each: of one
 * client in order, of different clients as their handlers end. One produce is under way at a time. What the results topic
 * has acknowledged is *finished*: the commit is the lowest offset that is not, and says what is finished above it.
 *
 * One that was given up lives on and produces late.
 */
import { type ClientId, seqUnsafe } from "../../Ids.ts"
import { outcomeOf } from "./Facts.ts"
import type { Did, Parts } from "./Parts.ts"

/** What a successor begins with. */
export interface EventCommit {
  readonly next: number
  readonly finished: ReadonlySet<number>
}

interface Read {
  readonly seq: number
  readonly key: ClientId
}

interface Produce {
  readonly of: ReadonlyArray<Read>
  isAppended: boolean
}

/** Events that are read and not finished. */
const max_open = 8

export class EventWorker {
  readonly name: string
  private readonly parts: Parts
  private readAt: number
  /** Read, and in no produce yet. */
  private open: ReadonlyArray<Read> = []
  private readonly finished: Set<number>
  private underWay: ReadonlyArray<Produce> = []

  constructor(name: string, parts: Parts, { finished, next }: EventCommit) {
    this.name = name
    this.parts = parts
    this.readAt = next
    this.finished = new Set(finished)
  }

  /** Everything before it is in the results topic, and what is finished is as well. */
  get commit(): EventCommit {
    const unfinished = [...this.open, ...this.underWay.flatMap(({ of }) => of)].map(({ seq }) => seq)
    const next = Math.min(this.readAt, ...unfinished)
    return { next, finished: new Set([...this.finished].filter((seq) => seq >= next)) }
  }

  /** Reads the next `max` events; their handlers begin. */
  take(max: number): Did {
    const chunk = this.parts.events.read(this.readAt, Math.min(max, max_open - this.commit.finished.size))
    if (chunk === undefined || this.open.length >= max_open) return undefined
    this.readAt = chunk.next
    const fresh = chunk.records.filter(({ offset }) => !this.finished.has(offset))
    this.open = [...this.open, ...fresh.map(({ key, offset }) => ({ seq: offset, key }))]
    return `${this.name} takes events [${chunk.from}, ${chunk.next})`
  }

  /** Produces what has ended and waits for nothing of its client. */
  produce(isSlow: () => boolean): Did {
    if (this.underWay.length > 0) return undefined
    const behind = new Set<ClientId>()
    const of = this.open.filter(({ key }) => {
      if (behind.has(key)) return false
      if (isSlow()) behind.add(key)
      return !behind.has(key)
    })
    if (of.length === 0) return undefined
    this.open = this.open.filter((read) => !of.includes(read))
    this.underWay = [...this.underWay, { of, isAppended: false }]
    return `${this.name} produces results of events ${seqsOf(of)}`
  }

  /** The results topic takes a produce, 0 being the oldest; once more if it is repeated. */
  append(at = 0): Did {
    const produce = this.underWay[at]
    if (produce === undefined) return undefined
    for (const { key, seq } of produce.of) {
      this.parts.results.append(key, outcomeOf(seqUnsafe(seq), this.parts.events.at(seq).value, this.name))
      this.parts.observe({ _tag: "Handles", seq: seqUnsafe(seq) })
    }
    produce.isAppended = true
    return `${this.name}: results of events ${seqsOf(produce.of)} end at ${this.parts.results.end}`
  }

  /** A produce is acknowledged: what it had is finished. */
  confirm(at = 0): Did {
    const produce = this.underWay[at]
    if (produce?.isAppended !== true) return undefined
    this.underWay = this.underWay.toSpliced(at, 1)
    for (const { seq } of produce.of) this.finished.add(seq)
    return `${this.name} hears that results of events ${seqsOf(produce.of)} are there`
  }
}

const seqsOf = (reads: ReadonlyArray<Read>): string => reads.map(({ seq }) => seq).join(", ")
