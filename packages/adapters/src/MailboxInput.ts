/** What mailbox stores do to what they are given, before they write it. */
import { type ClientId, type Cursor, start } from "@nimbus/domain/protocol"
import type { MailboxRecord } from "@nimbus/domain/services"

export const later = (a: Cursor, b: Cursor): Cursor => (a > b ? a : b)

/** The highest seq of all; -1 if there are none. */
export const highestOf = (records: ReadonlyArray<{ readonly seq: Cursor }>): Cursor =>
  records.reduce((highest, { seq }) => later(highest, seq), start)

/** Each client's records in order of seq, and of each seq the first that came. */
export const byClient = (
  records: ReadonlyArray<MailboxRecord>,
): ReadonlyMap<ClientId, ReadonlyArray<MailboxRecord>> => {
  const clients = new Map<ClientId, Array<MailboxRecord>>()
  for (const record of records) {
    const found = clients.get(record.clientId)
    if (found === undefined) clients.set(record.clientId, [record])
    else found.push(record)
  }
  return new Map(Array.from(clients, ([clientId, own]) => [clientId, inOrder(own)]))
}

interface Ack {
  readonly clientId: ClientId
  readonly seq: Cursor
}

/** The highest ack of each client. */
export const highestAcks = (acks: ReadonlyArray<Ack>): ReadonlyArray<Ack> => {
  const highest = new Map<ClientId, Ack>()
  for (const ack of acks) if (ack.seq > (highest.get(ack.clientId)?.seq ?? start)) highest.set(ack.clientId, ack)
  return [...highest.values()]
}

const inOrder = (records: ReadonlyArray<MailboxRecord>): ReadonlyArray<MailboxRecord> => {
  let last = start
  for (const { seq } of records) {
    if (seq <= last) {
      const sorted = records.toSorted((a, b) => a.seq - b.seq)
      return sorted.filter((record, i) => sorted[i - 1]?.seq !== record.seq)
    }
    last = seq
  }
  return records
}
