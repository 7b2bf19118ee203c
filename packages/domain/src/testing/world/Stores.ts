/** The stores, as production has them in memory, and the faults that the protocol allows them: to roll back, to be wiped. */
import { Effect } from "effect"
import type { ClientId, Cursor, Epoch, PodId } from "../../protocol/Ids.ts"
import { Incarnation } from "../../protocol/Ids.ts"
import type { MailboxLimits } from "../../Limits.ts"
import type { MailboxStats, Page, PageLimit, Put, PutOutcome } from "../../services/Mailbox.ts"
import { type MailboxMemory, type MailboxSnapshot, makeMemory as makeMailbox } from "../../services/MailboxMemory.ts"
import type { Presence } from "../../services/Registry.ts"
import {
  makeMemory as makeRegistry,
  type RegistryMemory,
  type RegistrySnapshot,
} from "../../services/RegistryMemory.ts"
import type { Status } from "../../protocol/Status.ts"
import type { Observe } from "./Observation.ts"

const partition = 0

export class MailboxStore {
  private readonly memory: MailboxMemory
  private readonly observe: Observe
  private backup: MailboxSnapshot
  /** Grows when it rolls back. */
  faults = 0

  constructor(limits: MailboxLimits, observe: Observe) {
    this.observe = observe
    this.memory = makeMailbox(limits)
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
  private memory: RegistryMemory = makeRegistry()
  private backup: RegistrySnapshot = this.memory.snapshot()
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

  get statuses(): ReadonlyMap<ClientId, Status> {
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
