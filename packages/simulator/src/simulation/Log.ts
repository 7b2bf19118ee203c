/**
 * The log of a run: topics in memory, with groups, as each process sees it over its line.
 *
 * What the contract of `EventLog` allows and faults make use of: a publish that failed may have been appended, then or
 * later; a read may fail; a partition's former owner may go on for a while, only its commits are refused.
 */
import { LogUnavailable, PartitionRevoked } from "@nimbus/domain/errors"
import { Incarnation, type LogRecord, type StoredRecord } from "@nimbus/domain/protocol"
import type { AssignedPartition, Chunk, Committed, EventLog, Position } from "@nimbus/domain/services"
import type { Dice } from "@nimbus/domain/testing/dice"
import { Cause, Effect, Exit, Stream } from "effect"
import { Group, type Ownership } from "./Group.ts"
import type { Line } from "./Line.ts"
import type { Process } from "./Process.ts"
import type { Watcher } from "./Watcher.ts"

interface Partition {
  readonly records: Array<StoredRecord>
  /** What is below is gone. */
  earliest: number
  /** Readers at the end. */
  readonly waiting: Set<() => void>
}

export class Log {
  static readonly incarnation = Incarnation.make("simulated-log")
  readonly line: Line
  readonly partitions: number
  /** Set by faults: of so many publishes one fails and is appended later all the same. 0: none. */
  appendsLate_one_in = 0
  private readonly chunk_records: number
  private readonly dice: Dice
  private readonly watcher: Watcher
  private readonly topics = new Map<string, ReadonlyArray<Partition>>()
  private readonly groups = new Map<string, Group>()
  /** By process, topic and partition: when the last publish arrives. None overtakes another. */
  private readonly arrivals = new Map<string, number>()
  private readonly underWay = new Map<string, number>()

  constructor(line: Line, partitions: number, chunk_records: number, watcher: Watcher) {
    this.line = line
    this.partitions = partitions
    this.chunk_records = chunk_records
    this.dice = line.dice
    this.watcher = watcher
  }

  get allGroups(): ReadonlyArray<Group> {
    return [...this.groups.values()]
  }

  /** The log as this process has it. */
  of(process: Process): EventLog["Service"] {
    const { line } = this
    return {
      partitions: this.partitions,
      incarnation: Log.incarnation,
      facts: () => ({
        partitions: this.partitions,
        incarnation: Log.incarnation,
        publish_bytes: Infinity,
        retention_ms: Infinity,
      }),
      publish: (topic, partition, records) => this.publish(process, topic, partition, records),
      subscribe: (topic, group) => this.subscribe(process, topic, group),
      tail: (topic, partition, position) => this.read(process, topic, partition, position, undefined),
      earliest: (topic, partition) =>
        line.call(
          process,
          "earliest",
          () => Exit.succeed(this.partition(topic, partition).earliest),
          unavailable(topic, "earliest"),
        ),
      end: (topic, partition) =>
        line.call(
          process,
          "end",
          () => Exit.succeed(this.partition(topic, partition).records.length),
          unavailable(topic, "end"),
        ),
      committed: (topic, group, partition) =>
        line.call(
          process,
          "committed",
          () => Exit.succeed(this.group(topic, group).committed.get(partition)),
          unavailable(topic, "committed"),
        ),
    }
  }

  private publish(process: Process, topic: string, at: number, records: ReadonlyArray<LogRecord>) {
    return Effect.callback<number, LogUnavailable>((resume) => {
      const { kernel, trace } = this.line
      const key = `${process.name} ${topic} ${at}`
      this.begin(key, process, topic, at, records.length)
      const answer = (exit: Exit.Exit<number, LogUnavailable>) =>
        kernel.after(this.line.delay_ms(), () =>
          process.enter(() => {
            this.settle(key)
            resume(exit)
          }),
        )
      const fate = this.appendsLate_one_in > 0 && this.dice.oneIn(this.appendsLate_one_in) ? "late" : this.line.fate()
      const arrives_ms = Math.max(kernel.now_ms + this.line.delay_ms(), this.arrivals.get(key) ?? 0)
      this.arrivals.set(key, arrives_ms)
      kernel.after(arrives_ms - kernel.now_ms, () => {
        if (fate !== "done") trace.say(process.name, () => `publish to ${topic}/${at}: ${fate}`)
        if (fate === "late") {
          trace.count("fault: a publish comes late")
          kernel.after(this.dice.upTo(3_000), () => this.append(process.name, topic, at, records))
        }
        const first = fate === "done" || fate === "answer lost" ? this.append(process.name, topic, at, records) : 0
        answer(fate === "done" ? Exit.succeed(first) : unavailable(topic, "publish")())
      })
      return Effect.sync(() => this.settle(key))
    })
  }

  private begin(key: string, process: Process, topic: string, partition: number, records: number): void {
    const underWay = this.underWay.get(key) ?? 0
    this.watcher.publishing(process.name, topic, partition, records, underWay)
    this.underWay.set(key, underWay + 1)
  }

  private settle(key: string): void {
    this.underWay.set(key, (this.underWay.get(key) ?? 1) - 1)
  }

  private append(by: string, topic: string, at: number, records: ReadonlyArray<LogRecord>): number {
    const { kernel, trace } = this.line
    const partition = this.partition(topic, at)
    const first = partition.records.length
    const stored = records.map((record, i) => ({ ...record, offset: first + i, timestamp: kernel.now_ms }))
    partition.records.push(...stored)
    trace.say(by, () => `${topic}/${at} gets ${stored.map(wordsOf).join(" ")}`)
    this.watcher.appended(topic, at, stored)
    trace.observer?.appended(by, topic, stored)
    const waiting = [...partition.waiting]
    partition.waiting.clear()
    for (const wake of waiting) wake()
    return first
  }

  private subscribe(process: Process, topic: string, name: string) {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const group = this.group(topic, name)
        const join = this.line.call(process, "join", () => Exit.void, unavailable(topic, "join"))
        const member = yield* Effect.acquireRelease(
          Effect.map(join, () => group.join(process)),
          (member) => Effect.sync(() => group.leave(member)),
        )
        const assigned = Effect.callback<ReadonlyArray<Ownership>>((resume) => {
          const take = (): void => {
            const taken = member.take(take)
            if (taken.length > 0) resume(Effect.succeed(taken))
          }
          take()
        })
        const pull = Effect.flatMap(assigned, ([first, ...rest]) =>
          first === undefined
            ? Effect.die(new Error("woken for nothing"))
            : Effect.succeed([
                this.assigned(topic, group, first),
                ...rest.map((ownership) => this.assigned(topic, group, ownership)),
              ] as const),
        )
        return Stream.fromPull(Effect.succeed(pull))
      }),
    )
  }

  private assigned(topic: string, group: Group, ownership: Ownership): AssignedPartition {
    const { partition, process } = ownership
    const { line } = this
    const revoked = () => Exit.fail(new PartitionRevoked({ topic, partition }))
    return {
      topic,
      partition,
      committed: line.call<Committed | undefined, LogUnavailable | PartitionRevoked>(
        process,
        `committed of ${topic}/${partition}`,
        () => (ownership.isRevoked ? revoked() : Exit.succeed(group.committed.get(partition))),
        unavailable(topic, "committed"),
      ),
      read: (position) =>
        this.read(
          process,
          topic,
          partition,
          () => (position === "committed" ? (group.committed.get(partition)?.next ?? 0) : position),
          ownership,
        ),
      commit: (next, metadata = "") =>
        line.call<void, LogUnavailable | PartitionRevoked>(
          process,
          `commit of ${topic}/${partition} at ${next}`,
          () => {
            if (!group.commit(ownership, { next, metadata })) return revoked()
            line.trace.say(process.name, () => `${topic}/${partition} is committed at ${next}, ${metadata}`)
            this.watcher.committed(topic, partition, { next, metadata })
            line.trace.observer?.committed(process.name, topic, next)
            return Exit.void
          },
          unavailable(topic, "commit"),
        ),
      revoked: Effect.callback<void>((resume) => {
        const giveUp = ownership.whenTold(() => resume(Effect.void))
        return Effect.sync(giveUp)
      }),
    }
  }

  private read(
    process: Process,
    topic: string,
    at: number,
    position: Exclude<Position, "committed"> | (() => number | "earliest"),
    ownership: Ownership | undefined,
  ): Stream.Stream<Chunk, LogUnavailable> {
    return Stream.suspend(() => {
      let next: number | undefined = undefined
      const start = () => {
        const from = typeof position === "function" ? position() : position
        return from === "earliest" ? 0 : from
      }
      const pull = Effect.callback<readonly [Chunk], LogUnavailable | Cause.Done>((resume) => {
        if (ownership?.knowsItsEnd === true) return resume(Cause.done())
        const { kernel } = this.line
        const partition = this.partition(topic, at)
        const answer = (exit: Effect.Effect<readonly [Chunk], LogUnavailable | Cause.Done>) => {
          giveUp?.()
          kernel.after(this.line.delay_ms(), () => process.enter(() => resume(exit)))
        }
        const look = (): void => {
          if (this.line.fate() === "refused") return void answer(unavailable(topic, "read")())
          const chunk = this.chunk(topic, at, (next ??= start()))
          if (chunk === undefined) return void partition.waiting.add(look)
          next = chunk.next
          answer(Exit.succeed([chunk] as const))
        }
        const giveUp = ownership?.whenTold(() => {
          partition.waiting.delete(look)
          resume(Cause.done())
        })
        kernel.after(this.line.delay_ms(), look)
        return Effect.sync(() => {
          partition.waiting.delete(look)
          giveUp?.()
        })
      })
      return Stream.fromPull(Effect.succeed(pull))
    })
  }

  private chunk(topic: string, partition: number, position: number): Chunk | undefined {
    const { earliest, records } = this.partition(topic, partition)
    if (position >= records.length) return undefined
    const from = Math.max(position, earliest)
    const next = Math.min(records.length, from + this.dice.upTo(this.chunk_records))
    return { partition, from, next, records: records.slice(from, next) }
  }

  /** Retention: about so much of what is there, or of what all groups have committed, is gone, but for the last record. */
  retain(topic: string, at: number, share: number, of: "all" | "committed" = "all"): void {
    const partition = this.partition(topic, at)
    const commits = [...this.groups].flatMap(([key, group]) =>
      key.startsWith(`${topic} `) ? [group.committed.get(at)?.next ?? 0] : [],
    )
    const end = of === "all" ? partition.records.length : Math.min(partition.records.length, ...commits)
    const last = Math.max(0, end - 1)
    partition.earliest += Math.floor((last - Math.min(last, partition.earliest)) * share)
    this.line.trace.say("fault", () => `${topic}/${at} begins at ${partition.earliest}`)
  }

  partition(topic: string, partition: number): Partition {
    let partitions = this.topics.get(topic)
    if (partitions === undefined) {
      partitions = Array.from({ length: this.partitions }, () => ({ records: [], earliest: 0, waiting: new Set() }))
      this.topics.set(topic, partitions)
    }
    return partitions[partition]!
  }

  private group(topic: string, name: string): Group {
    const key = `${topic} ${name}`
    const known = this.groups.get(key)
    if (known !== undefined) return known
    const group = new Group(topic, this.partitions, this.line.kernel, this.line.trace, this.dice)
    group.isAway = () => this.line.isAway
    this.groups.set(key, group)
    return group
  }
}

const unavailable = (topic: string, operation: string) => () =>
  Exit.fail(new LogUnavailable({ topic, operation, cause: "simulated" }))

const decoder = new TextDecoder()

/** A record for the trace, short. */
const wordsOf = ({ key, offset, value }: StoredRecord): string => `${offset}:${key}${decoder.decode(value)}`
