/**
 * Which messages of a partition came twice: the same author with the same id, sent again because no answer had come.
 *
 * ```
 *   said at   5    7    8        12
 *             a    b    a again   c        8 is a repeat of 5
 *             ╰─────────╯  within `repeat_records` offsets
 * ```
 *
 * Every reader of the log finds the same repeats, at any gateway, and hands over only the first of them: they are found as
 * those of events are (`RepeatWindow`), and each reader begins further back than the window reaches.
 */
import {
  type ChatIdentity,
  type Incarnation,
  RepeatWindow,
  identityOf,
  type StoredRecord,
} from "@nimbus/domain/protocol"
import type { ChatLimits } from "../Limits.ts"

type Limits = Pick<ChatLimits, "repeat_records">

export class Repeats {
  readonly #limits: Limits
  readonly #window: RepeatWindow
  /** The offset of the first, by that of the repeat. */
  readonly #firsts = new Map<number, number>()

  constructor(limits: Limits, incarnation: Incarnation, secret: string) {
    this.#limits = limits
    this.#window = new RepeatWindow({ dedupe_records: limits.repeat_records }, incarnation, secret)
  }

  /** Takes each record in the order of the log. Returns where it was said first, if it is a repeat. */
  take(record: StoredRecord): number | undefined {
    const identity = identityOf(record)
    if (identity === undefined) return undefined
    const first = this.#window.take(record.offset, 0, ownerOf(identity), identity.id)
    if (first === undefined) return undefined
    this.#firsts.set(record.offset, first)
    for (const repeat of this.#firsts.keys()) {
      if (this.#firsts.size <= this.#limits.repeat_records) break
      this.#firsts.delete(repeat)
    }
    return first
  }

  /** Where a message was said that the window has. */
  saidAt(identity: ChatIdentity): number | undefined {
    return this.#window.find(0, ownerOf(identity), identity.id)
  }

  /** Where the message at this offset was said first, if it is known to be a repeat. */
  firstOf(offset: number): number | undefined {
    return this.#firsts.get(offset)
  }
}

/** An author has ids of its own in each room. */
const ownerOf = ({ author, room }: ChatIdentity): string => JSON.stringify([room, author])
