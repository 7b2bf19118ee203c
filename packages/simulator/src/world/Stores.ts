/** The stores, as production has them in memory, and the faults that the protocol allows them: to roll back, to be wiped. */
import type { MailboxLimits } from "@nimbus/domain/limits"
import { type ClientId, type Cursor, type Epoch, Incarnation, type PodId, type Status } from "@nimbus/domain/protocol"
import {
  MailboxMemory,
  type MailboxStats,
  type Page,
  type PageLimit,
  type Presence,
  type Put,
  type PutOutcome,
  RegistryMemory,
} from "@nimbus/domain/services"
import { Effect } from "effect"
import type { Observe } from "./Observation.ts"

const partition = 0

export class MailboxStore {
  private readonly memory: MailboxMemory.MailboxMemory
  private readonly observe: Observe
  private backup: MailboxMemory.MailboxSnapshot
  /** Grows when it rolls back. */
  faults = 0

  constructor(limits: MailboxLimits, observe: Observe) {
    this.observe = observe
    this.memory = MailboxMemory.makeMemory(limits)
    Effect.runSync(this.memory.mailbox.claim({ incarnation: Incarnation.make("world"), partitions: 1, ends: [0] }))
    this.backup = this.memory.snapshot()
  }

  get offset(): number | undefined {
    return Effect.runSync(this.memory.mailbox.offset(partition))
  }

  put(put: Put): PutOutcome {
    const outcome = Effect.runSync(this.memory.mailbox.put(partition, put))
    if (outcome._tag === "Stored") for (const { seq } of put.records) this.observe({ _tag: "Puts", seq })
    return outcome
  }

  page(clientId: ClientId, after: Cursor, limit: PageLimit): Page {
    return Effect.runSync(this.memory.mailbox.page(clientId, after, limit))
  }

  ack(clientId: ClientId, seq: Cursor): void {
    Effect.runSync(this.memory.mailbox.ack([{ clientId, seq }]))
    this.observe({ _tag: "Trims", seq })
  }

  isWaiting(clientId: ClientId, after: Cursor): boolean {
    return Effect.runSync(this.memory.mailbox.waiting([{ clientId, after }]))[0] === true
  }

  stats(clientId: ClientId): MailboxStats {
    return Effect.runSync(this.memory.mailbox.stats(clientId))
  }

  backUp(): void {
    this.backup = this.memory.snapshot()
    this.observe({ _tag: "BacksUpMailbox" })
  }

  rollBack(): void {
    this.faults++
    this.memory.restore(this.backup)
    this.observe({ _tag: "RollsMailboxBack" })
  }
}

export class RegistryStore {
  private readonly observe: Observe
  private memory: RegistryMemory.RegistryMemory = RegistryMemory.makeMemory()
  private backup: RegistryMemory.RegistrySnapshot = this.memory.snapshot()
  /** Grows with every fault, after which epochs may be lower. */
  faults = 0

  constructor(observe: Observe) {
    this.observe = observe
  }

  connect(clientId: ClientId, pod: PodId, atLeast: Epoch): Epoch {
    return Effect.runSync(this.memory.registry.connect(clientId, pod, atLeast))
  }

  /** Whether it held. */
  write(presence: Presence): boolean {
    const isHeld = Effect.runSync(this.memory.registry.write([presence]))[0] === true
    this.observe({ _tag: "Registers", pod: presence.pod, epoch: presence.epoch, isRefused: !isHeld })
    return isHeld
  }

  podOf(clientId: ClientId): PodId | undefined {
    return Effect.runSync(this.memory.registry.pods([clientId]))[0]
  }

  get statuses(): ReadonlyMap<ClientId, Status.Status> {
    return this.memory.snapshot().statuses
  }

  backUp(): void {
    this.backup = this.memory.snapshot()
    this.observe({ _tag: "BacksUpRegistry" })
  }

  rollBack(): void {
    this.faults++
    this.memory.restore(this.backup)
    this.observe({ _tag: "RollsRegistryBack" })
  }

  wipe(): void {
    this.faults++
    this.memory.wipe()
    this.observe({ _tag: "WipesRegistry" })
  }
}
