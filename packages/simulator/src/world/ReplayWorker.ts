/**
 * The replay consumer (the mail carrier): reads the backlog in order, puts each chunk in one step that compares the
 * stored offset, then hints to the client's pod.
 */
import { clientIdUnsafe, peekSeq, seqUnsafe, type StoredRecord } from "@nimbus/domain/protocol"
import type { MailboxRecord, Put } from "@nimbus/domain/services"
import type { Did, Parts } from "./Parts.ts"

export class ReplayWorker {
  readonly name: string
  private readonly parts: Parts
  /** The stored offset, as far as this worker knows. */
  private stored: number | undefined
  private pending: Put | undefined = undefined

  constructor(name: string, parts: Parts) {
    this.name = name
    this.parts = parts
    this.stored = parts.mailbox.offset
  }

  get position(): number {
    return this.stored ?? this.parts.dlq.earliest
  }

  /** Reads the next `max` records of the backlog. */
  take(max: number): Did {
    if (this.pending !== undefined) return undefined
    const chunk = this.parts.dlq.read(this.position, max)
    if (chunk === undefined) return undefined
    this.pending = {
      expected: this.stored,
      next: chunk.next,
      records: chunk.records.map(mailOf),
      // What the backlog no longer holds is below whatever the events topic has by now.
      hole: chunk.from > (this.stored ?? 0) ? seqUnsafe(this.parts.events.end) : undefined,
    }
    return `${this.name} takes dlq [${chunk.from}, ${chunk.next})`
  }

  /** The put is carried out; where the answer gets lost it will be tried again. */
  put(isAnswered: boolean): Did {
    if (this.pending === undefined) return undefined
    const put = this.pending
    const outcome = this.parts.mailbox.put(put)
    const did = `${this.name} puts ${put.records.map(({ clientId, seq }) => `${clientId} ${seq}`).join(", ")}`
    if (!isAnswered) return `${did}, and gets no answer`
    this.pending = undefined
    if (outcome._tag === "Differs") {
      this.stored = outcome.stored
      return `${did}: differs, goes on from ${outcome.stored ?? "the earliest"}`
    }
    this.stored = put.next
    this.hint(put.records)
    return did
  }

  private hint(records: ReadonlyArray<MailboxRecord>): void {
    for (const clientId of new Set(records.map((record) => record.clientId))) {
      const pod = this.parts.registry.podOf(clientId)
      if (pod !== undefined) this.parts.pods.publish(pod, [{ _tag: "Mail", clientId }])
    }
  }
}

const mailOf = ({ key, timestamp, value }: StoredRecord): MailboxRecord => ({
  clientId: clientIdUnsafe(key),
  seq: peekSeq(value) ?? seqUnsafe(0),
  value,
  timestamp,
})
