/**
 * A member of a consumer group: which partitions it owns, for how long, and its commits.
 *
 * ```
 *   join ─▶ sync ─▶ ours: heartbeats ─▶ the group rebalances, or forgot us, or can't be reached for a session's time
 *    ▲                                                      │
 *    └──────────── all partitions are revoked ◀─────────────┘
 * ```
 *
 * 1. Rebalances are eager: all partitions are revoked before the member joins again, and each that it gets back is a
 *    new assignment. `StickyAssigner` returns most of them.
 * 2. Heartbeats do not depend on reading: the group receives them even if the reader is slow.
 * 3. A member owns a partition no longer than the group may assume: if no heartbeat has arrived for
 *    `session_timeout_ms`, the partition is revoked here too.
 * 4. A commit has the generation in which the partition was assigned. A later generation refuses it.
 * 5. The member waits while Kafka is unavailable or the coordinator moves. A permanent refusal ends the membership with
 *    an error.
 */
import { type LogError, LogUnavailable, PartitionRevoked } from "@nimbus/domain/errors"
import { Elapsed } from "@nimbus/domain/observability"
import { type Committed, failureReporter, type FailureReporter } from "@nimbus/domain/services"
import { Clock, Deferred, Effect, Latch, type Scope } from "effect"
import { KafkaUnavailable } from "../Errors.ts"
import type { KafkaLimits } from "../Limits.ts"
import { retries } from "./Backoff.ts"
import { alarmIfRefused, codeOf, codes, isRefusal } from "./Failures.ts"
import type { KafkaBroker } from "./KafkaInternals.ts"
import { call } from "./KafkaJs.ts"
import type { Link } from "./Link.ts"
import {
  assign,
  decodeAssignment,
  decodeClaim,
  encodeAssignment,
  encodeClaim,
  type MemberClaim,
  protocolName,
} from "./StickyAssigner.ts"

export interface Membership {
  /** The partitions that were assigned since the last call and are still owned. Waits until there is one. */
  readonly next: Effect.Effect<readonly [Assignment, ...Array<Assignment>], LogUnavailable>
  /** Commits in the group's name. */
  commit(assignment: Assignment, committed: Committed): Effect.Effect<void, LogError | PartitionRevoked>
}

/** An owned partition. */
export class Assignment {
  readonly partition: number
  readonly generation: Generation
  readonly revoked = Deferred.makeUnsafe<void>()
  readonly #onRevoked = new Set<() => void>()
  #isRevoked = false

  constructor(partition: number, generation: Generation) {
    this.partition = partition
    this.generation = generation
  }

  get isRevoked(): boolean {
    return this.#isRevoked
  }

  /** Calls `f` in the turn in which the partition is lost. Returns a function that cancels this. */
  onRevoked(f: () => void): () => void {
    this.#onRevoked.add(f)
    return () => void this.#onRevoked.delete(f)
  }

  revoke(): void {
    this.#isRevoked = true
    for (const f of this.#onRevoked) f()
    Deferred.doneUnsafe(this.revoked, Effect.void)
  }
}

/** One round of the group: the same members with the same partitions. */
interface Generation {
  readonly memberId: string
  readonly id: number
  readonly partitions: ReadonlyArray<number>
  /** How many the topic had, as far as was known here. */
  readonly count: number
  /** Which may move. */
  coordinator: KafkaBroker
}

export interface MembershipOptions {
  /** For the group alone: a rebalance holds up its requests. */
  readonly link: Link
  /** For leaving, which must not wait for a rebalance. */
  readonly leaving: Link
  readonly topic: string
  readonly group: string
  /** Which may become more: the next round of the group has them. */
  readonly partitions: () => number
  readonly limits: KafkaLimits
}

/** A member until the scope closes. It then leaves the group, so that others take over immediately. */
export const joinGroup = Effect.fnUntraced(function* (
  options: MembershipOptions,
): Effect.fn.Return<Membership, never, Scope.Scope> {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const member = new Member(options, clock, yield* failureReporter(`join ${options.group}`))
  yield* Effect.addFinalizer(() => member.leave)
  yield* Effect.forkScoped(
    Effect.catch(
      Effect.tapError(member.run, (error) => alarmIfRefused(`join ${options.group}`, error, options.limits)),
      (cause) =>
        Effect.sync(() => member.fail(new LogUnavailable({ topic: options.topic, operation: "subscribe", cause }))),
    ),
  )
  return member
})

class Member implements Membership {
  readonly #options: MembershipOptions
  readonly #clock: Clock.Clock
  /** While the group can't be joined. */
  readonly #outage: FailureReporter
  /** Ours now. */
  #assigned: ReadonlyArray<Assignment> = []
  /** Not yet pulled; what is revoked goes with the next assignment. So there are no more than partitions. */
  #pending: ReadonlyArray<Assignment> = []
  #failure: LogUnavailable | undefined
  #memberId = ""
  /** Under way: the group may count us in before we know our own name. */
  #joining: Promise<unknown> = Promise.resolve()
  /** What was ours last. */
  #had: ReadonlyArray<number> = []
  /** Something for `next`. */
  readonly #news = Latch.makeUnsafe()
  /** A reason to send a heartbeat now. */
  readonly #doubt = Latch.makeUnsafe()

  constructor(options: MembershipOptions, clock: Clock.Clock, joining: FailureReporter) {
    this.#options = options
    this.#clock = clock
    this.#outage = joining
  }

  readonly next: Membership["next"] = Effect.suspend(() => {
    if (this.#failure !== undefined) return Effect.fail(this.#failure)
    const [first, ...rest] = this.#pending.filter(({ isRevoked }) => !isRevoked)
    this.#pending = []
    if (first !== undefined) return Effect.succeed([first, ...rest] as const)
    this.#news.closeUnsafe()
    return Effect.andThen(this.#news.await, this.next)
  })

  commit(assignment: Assignment, committed: Committed): Effect.Effect<void, LogError | PartitionRevoked> {
    return Effect.catchIf(
      this.#commit(assignment, committed),
      // A broker with another bound than the default one. The offset alone costs repeats, and holds nothing up.
      (error) => codeOf(error) === codes.offsetMetadataTooLarge,
      () => this.#commit(assignment, { next: committed.next, metadata: "" }),
    )
  }

  #commit(assignment: Assignment, { metadata, next }: Committed): Effect.Effect<void, LogError | PartitionRevoked> {
    const { group: groupId, topic } = this.#options
    const { generation, partition } = assignment
    const revoked = new PartitionRevoked({ topic, partition })
    const commit = call(() =>
      generation.coordinator.offsetCommit({
        groupId,
        groupGenerationId: generation.id,
        memberId: generation.memberId,
        topics: [{ topic, partitions: [{ partition, offset: String(next), metadata }] }],
      }),
    ).pipe(
      Effect.timeoutOrElse({
        duration: this.#options.limits.question_timeout_ms,
        orElse: () => Effect.fail(noAnswer("a commit")),
      }),
      Effect.mapError((cause) => {
        this.#doubt.openUnsafe()
        return isOver(cause) ? revoked : new LogUnavailable({ topic, operation: "commit", cause })
      }),
      Effect.asVoid,
    )
    return Effect.suspend(() => (assignment.isRevoked ? Effect.fail(revoked) : commit))
  }

  /** Ends only with a permanent error. */
  readonly run: Effect.Effect<never, KafkaUnavailable> = Effect.suspend(() =>
    this.#joined.pipe(
      Effect.tap(this.#outage.worked),
      Effect.tap((generation) => Effect.sync(() => this.#own(generation))),
      Effect.flatMap((generation) => this.#beat(generation)),
      Effect.andThen(Effect.sync(() => this.#revokeAll())),
      Effect.forever,
    ),
  )

  fail(failure: LogUnavailable): void {
    this.#revokeAll()
    this.#failure = failure
    this.#news.openUnsafe()
  }

  readonly leave: Effect.Effect<void> = Effect.suspend(() => {
    this.#revokeAll()
    const { group: groupId, leaving, limits } = this.#options
    const leave = Effect.suspend(() => {
      const memberId = this.#memberId
      return memberId === ""
        ? Effect.void
        : Effect.flatMap(leaving.coordinator(groupId), (coordinator) =>
            call(() => coordinator.leaveGroup({ groupId, memberId })),
          )
    })
    return Effect.promise(() => this.#joining).pipe(
      Effect.andThen(leave),
      Effect.interruptible,
      Effect.timeoutOption(limits.close_timeout_ms),
      Effect.catch((error) => Effect.logDebug("the group was left without a word", error)),
    )
  })

  #own(generation: Generation): void {
    this.#had = generation.partitions
    this.#assigned = generation.partitions.map((partition) => new Assignment(partition, generation))
    this.#pending = this.#assigned
    this.#news.openUnsafe()
  }

  #revokeAll(): void {
    const lost = this.#assigned
    this.#assigned = []
    this.#pending = []
    for (const assignment of lost) assignment.revoke()
  }

  /** Joins, and retries without end. */
  readonly #joined: Effect.Effect<Generation, KafkaUnavailable> = Effect.suspend(() => {
    const { limits, link } = this.#options
    return this.#join.pipe(
      Effect.tapError((error) => {
        if (codeOf(error) === codes.unknownMember) this.#memberId = ""
        return isOver(error) || !isPassing(error)
          ? Effect.void
          : Effect.andThen(this.#outage.failed(error), Effect.ignore(link.recover))
      }),
      // The group starts its next round, so there is nothing to wait for.
      Effect.retry({ while: isOver }),
      Effect.retry({ while: isPassing, schedule: retries(limits) }),
    )
  })

  readonly #join: Effect.Effect<Generation, KafkaUnavailable> = Effect.gen({ self: this }, function* () {
    const { group: groupId, limits, link, topic } = this.#options
    const count = this.#options.partitions()
    const coordinator = yield* link.coordinator(groupId)
    const joined = yield* call(() => {
      const joining = coordinator.joinGroup({
        groupId,
        sessionTimeout: limits.session_timeout_ms,
        rebalanceTimeout: limits.rebalance_timeout_ms,
        memberId: this.#memberId,
        groupProtocols: [{ name: protocolName, metadata: encodeClaim(topic, this.#had) }],
      })
      const named = joining.then(({ memberId }) => (this.#memberId = memberId))
      this.#joining = Promise.allSettled([named])
      return joining
    })
    const { generationId: id, memberId } = joined
    const claims = joined.members.map((member) => decodeClaim(member.memberId, member.memberMetadata))
    const groupAssignment = joined.leaderId === memberId ? this.#assign(claims) : []
    const synced = yield* call(() => coordinator.syncGroup({ groupId, generationId: id, memberId, groupAssignment }))
    const { others, partitions } = decodeAssignment(topic, synced.memberAssignment)
    yield* this.#tellStrangers([...others, ...claims.flatMap(({ topics }) => topics)])
    return { id, memberId, coordinator, partitions, count }
  })

  /** If two installations use one group by mistake, one of them gets nothing to read. */
  #tellStrangers(topics: ReadonlyArray<string>): Effect.Effect<void> {
    const { group, topic } = this.#options
    const others = [...new Set(topics)].filter((other) => other !== topic)
    return others.length === 0
      ? Effect.void
      : Effect.logWarning(`${group} is to read ${topic} alone, and has members that read ${others.join(", ")}`)
  }

  /** As the leader of the group. */
  #assign(claims: ReadonlyArray<MemberClaim>) {
    const { partitions, topic } = this.#options
    return Array.from(assign(claims, topic, partitions()), ([memberId, share]) => ({
      memberId,
      memberAssignment: encodeAssignment(topic, share),
    }))
  }

  /** Sends heartbeats until the generation ends. */
  readonly #beat = Effect.fnUntraced(function* (this: Member, generation: Generation): Effect.fn.Return<void> {
    const { group: groupId, limits, link } = this.#options
    let heard_ms = Elapsed.msUnsafe(this.#clock)
    for (;;) {
      yield* Effect.raceFirst(Effect.sleep(limits.heartbeat_ms), this.#doubt.await)
      this.#doubt.closeUnsafe()
      const sent_ms = Elapsed.msUnsafe(this.#clock)
      const left_ms = heard_ms + limits.session_timeout_ms - sent_ms
      const { id: groupGenerationId, memberId } = generation
      const error = yield* call(() => generation.coordinator.heartbeat({ groupId, groupGenerationId, memberId })).pipe(
        Effect.timeoutOrElse({ duration: Math.max(0, left_ms), orElse: () => Effect.fail(noAnswer("a heartbeat")) }),
        Effect.match({ onSuccess: () => undefined, onFailure: (error) => error }),
      )
      if (error === undefined) {
        heard_ms = sent_ms
        if (this.#options.partitions() === generation.count) continue
        return yield* Effect.logInfo(`${groupId} rebalances: ${this.#options.topic} has more partitions`)
      }
      if (codeOf(error) === codes.unknownMember) this.#memberId = ""
      if (isOver(error)) return yield* Effect.logInfo(`${groupId} rebalances`)
      const rest_ms = heard_ms + limits.session_timeout_ms - Elapsed.msUnsafe(this.#clock)
      if (rest_ms <= 0) {
        return yield* Effect.logWarning(`${groupId} has not heard from us for a session's time: ${error.message}`)
      }
      // The coordinator is unavailable, or has moved.
      yield* Effect.andThen(link.recover, link.coordinator(groupId)).pipe(
        Effect.timeoutOption(rest_ms),
        Effect.match({
          onSuccess: (found) => {
            if (found._tag === "Some") generation.coordinator = found.value
          },
          // The next heartbeat fails too then.
          onFailure: () => {},
        }),
      )
    }
  })
}

/** The generation is no longer that of the group. */
const isOver = (error: KafkaUnavailable): boolean => {
  const code = codeOf(error)
  return code === codes.rebalanceInProgress || code === codes.illegalGeneration || code === codes.unknownMember
}

/** The group belongs to another application, or does not accept the timeouts. */
const misfits: ReadonlySet<number> = new Set([codes.inconsistentGroupProtocol, codes.invalidSessionTimeout])

const isPassing = (error: KafkaUnavailable): boolean => {
  const code = codeOf(error)
  return !isRefusal(error) && (code === undefined || !misfits.has(code))
}

const noAnswer = (question: string) => new KafkaUnavailable({ cause: new Error(`no answer to ${question} in time`) })
