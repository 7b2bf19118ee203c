/** The stores, as production has them in memory, and the faults that the protocol allows them: to roll back, to be wiped. */
import { Effect } from "effect"
import type { ClientId, Cursor, Epoch, PodId } from "../../Ids.ts"
import { Incarnation } from "../../Ids.ts"
import type { MailboxLimits } from "../../Limits.ts"
import type { MailboxStats, Page, PageLimit, Put, PutOutcome } from "../../Mailbox.ts"
import { type MailboxMemory, type MailboxSnapshot, makeMemory as makeMailbox } from "../../MailboxMemory.ts"
import type { Presence } from "../../Registry.ts"
import { makeMemory as makeRegistry, type RegistryMemory, type RegistrySnapshot } from "../../RegistryMemory.ts"
import type { Status } from "../../Status.ts"

const partition = 0

export class MailboxStore {
  private readonly memory: MailboxMemory
  private backup: MailboxSnapshot

  constructor(limits: MailboxLimits) {
    this.memory = makeMailbox(limits)
    Effect.runSync(this.memory.mailbox.claim({ incarnation: Incarnation.make("world"), partitions: 1, ends: [0] }))
    this.backup = this.memory.snapshot()
  }

  get offset(): number | undefined {
    return Effect.runSync(this.memory.mailbox.offset(partition))
  }

  put(put: Put): PutOutcome {
    return Effect.runSync(this.memory.mailbox.put(partition, put))
  }

  page(clientId: ClientId, after: Cursor, limit: PageLimit): Page {
    return Effect.runSync(this.memory.mailbox.page(clientId, after, limit))
  }

  ack(clientId: ClientId, seq: Cursor): void {
    Effect.runSync(this.memory.mailbox.ack([{ clientId, seq }]))
  }

  isWaiting(clientId: ClientId, after: Cursor): boolean {
    return Effect.runSync(this.memory.mailbox.waiting([{ clientId, after }]))[0] === true
  }

  stats(clientId: ClientId): MailboxStats {
    return Effect.runSync(this.memory.mailbox.stats(clientId))
  }

  backUp(): void {
    this.backup = this.memory.snapshot()
  }

  rollBack(): void {
    this.memory.restore(this.backup)
  }
}

export class RegistryStore {
  private memory: RegistryMemory = makeRegistry()
  private backup: RegistrySnapshot = this.memory.snapshot()
  /** Grows with every fault, after which epochs may be lower. */
  faults = 0

  connect(clientId: ClientId, pod: PodId, atLeast: Epoch): Epoch {
    return Effect.runSync(this.memory.registry.connect(clientId, pod, atLeast))
  }

  /** Whether it held. */
  write(presence: Presence): boolean {
    return Effect.runSync(this.memory.registry.write([presence]))[0] === true
  }

  podOf(clientId: ClientId): PodId | undefined {
    return Effect.runSync(this.memory.registry.pods([clientId]))[0]
  }

  get statuses(): ReadonlyMap<ClientId, Status> {
    return this.memory.snapshot().statuses
  }

  backUp(): void {
    this.backup = this.memory.snapshot()
  }

  rollBack(): void {
    this.faults++
    this.memory.restore(this.backup)
  }

  wipe(): void {
    this.faults++
    this.memory.wipe()
  }
}
