/** One partition of a topic: an array that only grows, and loses its oldest entries to retention. */
import type { ClientId } from "@nimbus/domain/protocol"

export interface Entry<V> {
  readonly key: ClientId
  readonly value: V
  readonly offset: number
  readonly timestamp: number
}

/** The entries at offsets `[from, next)`. */
export interface TopicChunk<V> {
  readonly partition: number
  readonly from: number
  readonly next: number
  readonly records: ReadonlyArray<Entry<V>>
}

export class Topic<V> {
  private readonly entries: Array<Entry<V>> = []
  private first = 0

  /** The first retained offset. */
  get earliest(): number {
    return this.first
  }

  get end(): number {
    return this.entries.length
  }

  /** Answers the offset. */
  append(key: ClientId, value: V): number {
    const offset = this.entries.length
    this.entries.push({ key, value, offset, timestamp: offset })
    return offset
  }

  /** At most `max` entries; `undefined` at the end. */
  read(position: number, max: number): TopicChunk<V> | undefined {
    const from = Math.max(position, this.first)
    const next = Math.min(from + max, this.entries.length)
    return from >= next ? undefined : { partition: 0, from, next, records: this.entries.slice(from, next) }
  }

  /** What was ever appended, retained or not: for checks. */
  at(offset: number): Entry<V> {
    return this.entries[offset]!
  }

  /** Retention: what is below `offset` is gone. */
  retain(offset: number): void {
    this.first = Math.max(this.first, Math.min(offset, this.entries.length))
  }
}
