/** Who has caused the records that are read, and by what name a subject's share is kept: once for each caller. */
import { type Caller, CallerReader, ownerOf } from "@nimbus/domain/access"
import type { Headers } from "@nimbus/domain/protocol"

export class Callers {
  readonly #reader = new CallerReader()
  /** Callers of the same header are the same object. */
  readonly #subjects = new WeakMap<Caller, string>()

  read(headers: Headers | undefined): Caller | undefined {
    return this.#reader.read(headers)
  }

  /** The same for all tokens of a subject. */
  subjectOf(caller: Caller): string {
    const known = this.#subjects.get(caller)
    if (known !== undefined) return known
    const subject = ownerOf(caller)
    this.#subjects.set(caller, subject)
    return subject
  }
}
