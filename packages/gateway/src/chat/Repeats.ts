/**
 * Which messages of a partition came twice: the same author with the same id, sent again because no answer had come.
 *
 * ```
 *   said at   5    7    8        12
 *             a    b    a again   c        8 is a repeat of 5
 *             ╰─────────╯  at most `repeat_records` offsets and `repeat_ms` apart, by the log's own time
 * ```
 *
 * Every reader of the log finds the same repeats, at any gateway, and hands over only the first of them.
 *
 * It is not `RepeatWindow`, by which the event consumer finds repeats of events: that has no time and answers only about the
 * record that it takes. The contract of the chat has both (docs/chat.md): after `repeat_ms` an id may be used for another
 * message, and a gateway answers a message that was said already from here, before anything is written.
 */
import { type ChatIdentity, identityKey, identityOf, type StoredRecord } from "@nimbus/domain/protocol"
import type { ChatLimits } from "../Limits.ts"

interface Said {
  readonly offset: number
  readonly timestamp: number
}

export class Repeats {
  readonly #limits: Pick<ChatLimits, "repeat_records" | "repeat_ms">
  /** The oldest first. */
  readonly #said = new Map<string, Said>()
  /** The offset of the first, by that of the repeat. */
  readonly #firsts = new Map<number, number>()

  constructor(limits: Pick<ChatLimits, "repeat_records" | "repeat_ms">) {
    this.#limits = limits
  }

  /** Takes each record in the order of the log. Returns where it was said first, if it is a repeat. */
  take(record: StoredRecord): number | undefined {
    const identity = identityOf(record)
    if (identity === undefined) return undefined
    this.#forget(record)
    const key = identityKey(identity)
    const first = this.#said.get(key)
    if (first === undefined) {
      this.#said.set(key, { offset: record.offset, timestamp: record.timestamp })
      return undefined
    }
    this.#firsts.set(record.offset, first.offset)
    for (const repeat of this.#firsts.keys()) {
      if (this.#firsts.size <= this.#limits.repeat_records) break
      this.#firsts.delete(repeat)
    }
    return first.offset
  }

  /** Where a message was said that is as old as a repeat may be. */
  saidAt(identity: ChatIdentity, now_ms: number): number | undefined {
    const said = this.#said.get(identityKey(identity))
    return said === undefined || now_ms - said.timestamp > this.#limits.repeat_ms ? undefined : said.offset
  }

  /** Where the message at this offset was said first, if it is known to be a repeat. */
  firstOf(offset: number): number | undefined {
    return this.#firsts.get(offset)
  }

  #forget({ offset, timestamp }: StoredRecord): void {
    for (const [key, said] of this.#said) {
      const isNear = offset - said.offset <= this.#limits.repeat_records
      if (isNear && timestamp - said.timestamp <= this.#limits.repeat_ms) return
      this.#said.delete(key)
    }
  }
}
