/** What the simulated services tell whoever checks, in the moment in which it happens. */
import type { ClientId, Cursor, Push, StoredRecord } from "@nimbus/domain/protocol"
import type { Committed } from "@nimbus/domain/services"

export interface Watcher {
  /** A topic has these records. */
  appended(topic: string, partition: number, records: ReadonlyArray<StoredRecord>): void
  /** A group has committed. */
  committed(topic: string, partition: number, committed: Committed): void
  /** A process publishes to a partition, and so many publishes of it are under way there already. */
  publishing(process: string, topic: string, partition: number, records: number, underWay: number): void
  /** A router sends pushes. */
  pushed(pushes: ReadonlyArray<Push>): void
  /** A gateway says to a router or to a mailbox that the client has everything up to here. */
  acknowledged(process: string, clientId: ClientId, seq: Cursor): void
}
