/**
 * One consumer group of one topic, within a process: who owns which partition, and what is committed.
 *
 * ```
 *   join, leave ─▶ rebalance: 1. owners above their share lose partitions   (reads end, commits fail)
 *                             2. members below theirs get the free ones
 *                             3. who lost is told, then who got
 * ```
 *
 * 1. A partition has at most one owner, and loses it before it gets the next.
 * 2. Shares differ by at most one, and no more partitions move than that takes.
 * 3. What a member has not yet pulled is bounded by the partitions it owns.
 */
import { Deferred, Effect } from "effect"
import type { Committed } from "../EventLog.ts"

/** A partition while a member has it. */
export class Ownership {
  readonly partition: number
  readonly revoked = Deferred.makeUnsafe<void>()
  /** Called once when the partition is lost: the reader that waits, of which there is one at a time. */
  wake: (() => void) | undefined
  #isRevoked = false

  constructor(partition: number) {
    this.partition = partition
  }

  get isRevoked(): boolean {
    return this.#isRevoked
  }

  revoke(): void {
    this.#isRevoked = true
  }

  tell(): void {
    Deferred.doneUnsafe(this.revoked, Effect.void)
    this.wake?.()
  }
}

export class Member {
  readonly owned = new Map<number, Ownership>()
  #pending: Array<Ownership> = []
  #wake: (() => void) | undefined

  /** The partitions assigned since the last call that are still owned; waits until there is one. */
  readonly next: Effect.Effect<readonly [Ownership, ...Array<Ownership>]> = Effect.suspend(() => {
    const [first, ...rest] = this.#pending.filter((ownership) => !ownership.isRevoked)
    this.#pending = []
    return first === undefined ? Effect.andThen(this.#assigned, () => this.next) : Effect.succeed([first, ...rest])
  })

  readonly #assigned = Effect.callback<void>((resume) => {
    if (this.#pending.length > 0) return resume(Effect.void)
    this.#wake = () => resume(Effect.void)
    return Effect.sync(() => {
      this.#wake = undefined
    })
  })

  assign(partition: number): void {
    const ownership = new Ownership(partition)
    this.owned.set(partition, ownership)
    this.#pending = this.#pending.filter((pending) => !pending.isRevoked)
    this.#pending.push(ownership)
  }

  tell(): void {
    if (this.#pending.length > 0) this.#wake?.()
  }

  /** Takes back what it owns above `share`. */
  revokeAbove(share: number): ReadonlyArray<Ownership> {
    const revoked = [...this.owned.values()].slice(share)
    for (const ownership of revoked) {
      this.owned.delete(ownership.partition)
      ownership.revoke()
    }
    return revoked
  }
}

export class ConsumerGroup {
  /** By partition. */
  readonly committed = new Map<number, Committed>()
  readonly #partitions: number
  #members: ReadonlyArray<Member> = []

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  join(): Member {
    const member = new Member()
    this.#members = [...this.#members, member]
    this.#rebalance([])
    return member
  }

  leave(member: Member): void {
    this.#members = this.#members.filter((other) => other !== member)
    this.#rebalance(member.revokeAbove(0))
  }

  #rebalance(left: ReadonlyArray<Ownership>): void {
    const shares = this.#shares()
    const revoked = [...left, ...shares.flatMap(([member, share]) => member.revokeAbove(share))]
    const free = this.#free()
    for (const [member, share] of shares) {
      for (const partition of free.splice(0, share - member.owned.size)) member.assign(partition)
    }
    // Last, because a notified member may run immediately, and join or leave.
    for (const ownership of revoked) ownership.tell()
    for (const [member] of shares) member.tell()
  }

  /** How many partitions each member should own. The larger shares go to who owns most already. */
  #shares(): ReadonlyArray<readonly [Member, number]> {
    const count = Math.max(1, this.#members.length)
    const small = Math.floor(this.#partitions / count)
    const larger = this.#partitions - small * count
    return this.#members
      .toSorted((a, b) => b.owned.size - a.owned.size)
      .map((member, i) => [member, i < larger ? small + 1 : small] as const)
  }

  #free(): Array<number> {
    const taken = new Set(this.#members.flatMap((member) => [...member.owned.keys()]))
    return Array.from({ length: this.#partitions }, (_, partition) => partition).filter((p) => !taken.has(p))
  }
}
