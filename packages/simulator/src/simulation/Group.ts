/**
 * One consumer group of one topic: who owns which partition, and what is committed.
 *
 * A partition that moves is no longer its old owner's at once: its commits are refused. When the old owner is told is
 * another matter. Usually it gives up first; one that hangs, or whose news is late, reads and writes on as a zombie
 * while the new owner has begun.
 */
import type { Committed } from "@nimbus/domain/services"
import type { Dice } from "@nimbus/domain/testing/dice"
import type { Kernel } from "./Kernel.ts"
import type { Process } from "./Process.ts"
import type { Trace } from "./Trace.ts"

/** A member that was not heard of for so long loses its partitions. */
export const session_timeout_ms = 3_000
const heartbeat_ms = 500

/** A partition as one member has it. */
export class Ownership {
  readonly partition: number
  readonly process: Process
  /** Not its any more, whether it knows or not. */
  isRevoked = false
  private isTold = false
  private readonly waiting = new Set<() => void>()

  constructor(partition: number, process: Process) {
    this.partition = partition
    this.process = process
  }

  get knowsItsEnd(): boolean {
    return this.isTold
  }

  tell(): void {
    this.isTold = true
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const run of waiting) this.process.enter(run)
  }

  /** Runs in the process once it is told. Answers how to give up. */
  whenTold(run: () => void): () => void {
    if (this.isTold) run()
    else this.waiting.add(run)
    return () => void this.waiting.delete(run)
  }
}

export class Member {
  readonly process: Process
  readonly owned = new Map<number, Ownership>()
  /** Lost, and not yet told so. */
  readonly lost = new Set<Ownership>()
  seen_ms: number
  isExpelled = false
  private pending: Array<Ownership> = []
  private wake: (() => void) | undefined = undefined

  constructor(process: Process, now_ms: number) {
    this.process = process
    this.seen_ms = now_ms
  }

  give(ownership: Ownership): void {
    this.process.enter(() => {
      this.pending.push(ownership)
      this.wake?.()
    })
  }

  /** What was given since the last call; otherwise `wake` is called when there is something. */
  take(wake: () => void): ReadonlyArray<Ownership> {
    const taken = this.pending.filter((ownership) => !ownership.knowsItsEnd)
    this.pending = []
    this.wake = taken.length > 0 ? undefined : wake
    return taken
  }
}

export class Group {
  readonly committed = new Map<number, Committed>()
  /** Set by a fault: who loses a partition learns of it only so much later, and the next owner begins before. */
  zombie_ms = 0
  /** Set by a fault: of so many commits one is kept without its metadata. 0: none. */
  losesMetadata_one_in = 0
  /** Whether the coordinator can be reached. */
  isAway: () => boolean = () => false
  private readonly name: string
  private readonly partitions: number
  private readonly kernel: Kernel
  private readonly trace: Trace
  private readonly dice: Dice
  private members: ReadonlyArray<Member> = []

  constructor(name: string, partitions: number, kernel: Kernel, trace: Trace, dice: Dice) {
    this.name = name
    this.partitions = partitions
    this.kernel = kernel
    this.trace = trace
    this.dice = dice
    this.beat()
  }

  join(process: Process): Member {
    const member = new Member(process, this.kernel.now_ms)
    this.members = [...this.members, member]
    this.rebalance()
    return member
  }

  leave(member: Member): void {
    member.isExpelled = true
    this.members = this.members.filter((other) => other !== member)
    for (const ownership of member.owned.values()) {
      ownership.isRevoked = true
      ownership.tell()
    }
    member.owned.clear()
    this.rebalance()
  }

  /** Whether the commit held. */
  commit(ownership: Ownership, committed: Committed): boolean {
    if (ownership.isRevoked) {
      this.trace.count("rule: a commit by a former owner is refused")
      return false
    }
    const { metadata, next } = committed
    const isLost = metadata !== "" && this.losesMetadata_one_in > 0 && this.dice.oneIn(this.losesMetadata_one_in)
    if (isLost) this.trace.count("fault: the metadata of a commit is lost")
    if (metadata !== "") this.trace.count("rule: a commit says what is finished above it")
    this.committed.set(ownership.partition, { next, metadata: isLost ? withoutBits(metadata) : metadata })
    return true
  }

  /** A fault: a partition goes to another member, for no reason that anyone knows. Answers whether there was one. */
  move(): boolean {
    const from = this.dice.pick(this.members.filter(({ owned }) => owned.size > 0))
    const to = this.dice.pick(this.members.filter((member) => member !== from))
    const ownership = this.dice.pick([...(from?.owned.values() ?? [])])
    if (from === undefined || to === undefined || ownership === undefined) return false
    this.assign(ownership.partition, to, this.revoke(from, ownership))
    return true
  }

  private rebalance(): void {
    const shares = this.shares()
    const freed = new Map<number, number>()
    for (const [member, share] of shares) {
      for (const ownership of [...member.owned.values()].slice(share)) {
        freed.set(ownership.partition, this.revoke(member, ownership))
      }
    }
    const owned = new Set(this.members.flatMap(({ owned }) => [...owned.keys()]))
    const free = Array.from({ length: this.partitions }, (_, p) => p).filter((p) => !owned.has(p))
    for (const [member, share] of shares) {
      for (const partition of free.splice(0, share - member.owned.size)) {
        this.assign(partition, member, freed.get(partition) ?? this.dice.below(20))
      }
    }
  }

  private shares(): ReadonlyArray<readonly [Member, number]> {
    const small = Math.floor(this.partitions / Math.max(1, this.members.length))
    const larger = this.partitions - small * this.members.length
    return this.members
      .toSorted((a, b) => b.owned.size - a.owned.size)
      .map((member, i) => [member, i < larger ? small + 1 : small] as const)
  }

  /** Answers after how many ms the next owner may begin. */
  private revoke(member: Member, ownership: Ownership): number {
    member.owned.delete(ownership.partition)
    ownership.isRevoked = true
    const soon_ms = this.dice.below(50)
    const told_ms = this.zombie_ms > 0 ? this.dice.upTo(this.zombie_ms) : soon_ms
    if (this.zombie_ms > 0) this.trace.count("fault: a former owner goes on")
    this.kernel.after(told_ms, () => {
      this.trace.say(member.process.name, () => `learns that ${this.name}/${ownership.partition} is lost`)
      ownership.tell()
    })
    return soon_ms
  }

  private assign(partition: number, member: Member, delay_ms: number): void {
    const ownership = new Ownership(partition, member.process)
    member.owned.set(partition, ownership)
    this.kernel.after(delay_ms + 1, () => {
      if (ownership.isRevoked) return
      this.trace.say(member.process.name, () => `gets ${this.name}/${partition}`)
      this.trace.observer?.assigned(member.process.name, this.name, ownership.partition)
      member.give(ownership)
    })
  }

  private beat(): void {
    this.kernel.after(heartbeat_ms, () => {
      if (!this.isAway()) for (const member of this.members) this.hear(member)
      else for (const member of this.members) member.seen_ms = this.kernel.now_ms
      this.beat()
    })
  }

  private hear(member: Member): void {
    if (member.process.isRunning) member.seen_ms = this.kernel.now_ms
    else if (this.kernel.now_ms - member.seen_ms > session_timeout_ms) this.expel(member)
  }

  private expel(member: Member): void {
    this.trace.say(member.process.name, () => `is expelled from ${this.name}`)
    this.trace.count("rule: a silent member loses its partitions")
    member.isExpelled = true
    this.members = this.members.filter((other) => other !== member)
    for (const ownership of member.owned.values()) {
      ownership.isRevoked = true
      member.lost.add(ownership)
    }
    member.owned.clear()
    this.rebalance()
    if (!member.process.isDead) this.comeBack(member)
  }

  /** A member that wakes up learns at some later beat what it has lost, and joins again. */
  private comeBack(member: Member): void {
    this.kernel.after(heartbeat_ms + this.dice.below(1_500), () => {
      if (member.process.isDead) return
      if (!member.process.isRunning || this.isAway()) return this.comeBack(member)
      this.trace.say(member.process.name, () => `learns that it was expelled from ${this.name}`)
      for (const ownership of member.lost) ownership.tell()
      member.lost.clear()
      member.isExpelled = false
      member.seen_ms = this.kernel.now_ms
      this.members = [...this.members, member]
      this.rebalance()
    })
  }
}

/** What it says is finished above the commit is lost. Where open tasks begin is not: without it they would be. */
const withoutBits = (metadata: string): string => {
  const [version, next, , ...rest] = metadata.split(" ")
  return version === "2" ? [version, next, "", ...rest].join(" ") : ""
}
