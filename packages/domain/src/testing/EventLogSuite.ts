/**
 * The conformance suite of `EventLog`. The tests expect nothing immediately: brokers deliver, assign and expire with
 * delay, and a rebalance may revoke partitions from members that then get them back.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, type Layer, Ref, Scope, Stream } from "effect"
import { type AssignedPartition, type Chunk, EventLog, type Position } from "../services/EventLog.ts"
import { chunkLimits, commitLimits } from "../Limits.ts"
import type { Retention } from "../services/LocalLog.ts"
import type { LogRecord, StoredRecord } from "../protocol/Records.ts"
import { conformance } from "./Conformance.ts"
import { eventually, within } from "./Eventually.ts"

/** The log that the suite requires. Its topic names are new in every run. */
export interface EventLogRequest {
  readonly topics: ReadonlyArray<string>
  readonly partitions: number
  readonly retention: Readonly<Record<string, Retention>>
}

/** The log to be tested. */
export interface EventLogSuiteOptions<E> {
  readonly layer: (request: EventLogRequest) => Layer.Layer<EventLog, E>
  /** A log that still has its records when its layer is built again after its scope was closed. */
  readonly reopen?: ((request: EventLogRequest) => Layer.Layer<EventLog, E>) | undefined
  /** Whether retention by size takes effect within seconds. Default: true. */
  readonly retainsPromptly?: boolean | undefined
}

/** The contract of `EventLog` as tests: call it in a test file with the layer to be tested. */
export const eventLogSuite = <E>(name: string, options: EventLogSuiteOptions<E>): void => {
  const run = Math.random().toString(36).slice(2, 10)
  /** A group of this run. A broker has one namespace of groups, whatever topics they read. */
  const group = `suite-${run}`
  const topics = new Map<string, string>()
  /** A topic that no other test uses. */
  const topicOf = (test: string): string => {
    const topic = `suite-${run}-${test}`
    topics.set(test, topic)
    return topic
  }
  const at = {
    order: topicOf("order"),
    racing: topicOf("racing"),
    bounds: topicOf("bounds"),
    waiting: topicOf("waiting"),
    positions: topicOf("positions"),
    chunks: topicOf("chunks"),
    pull: topicOf("pull"),
    assigned: topicOf("assigned"),
    resume: topicOf("resume"),
    lower: topicOf("lower"),
    metadata: topicOf("metadata"),
    seek: topicOf("seek"),
    join: topicOf("join"),
    leave: topicOf("leave"),
    churn: topicOf("churn"),
    retention: topicOf("retention"),
    reopen: topicOf("reopen"),
  }
  const request: EventLogRequest = {
    topics: [...topics.values()],
    partitions: partitionCount,
    retention: { [at.retention]: { retention_bytes: 50_000 } },
  }

  conformance(`EventLog: ${name}`, options.layer(request), (it) => {
    it.effect("a chunk is appended whole, in order, unchanged, at consecutive offsets from the one answered", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const before = Date.now()
        const first = yield* log.publish(at.order, 1, various)
        const second = yield* log.publish(at.order, 1, numbered(3))
        assert.strictEqual(second, first + various.length)
        const stored = yield* take(log.tail(at.order, 1, first), various.length + 3)
        assert.deepStrictEqual(stored.map(plain), [...various, ...numbered(3)].map(plain))
        assert.deepStrictEqual(
          offsets(stored),
          upTo(stored.length).map((i) => first + i),
        )
        for (const { timestamp, unreadable } of stored) {
          assert.isAtLeast(timestamp, before - clockSkew_ms)
          assert.isUndefined(unreadable)
        }
        assert.isAtMost(stored.at(-1)?.timestamp ?? Infinity, Date.now() + clockSkew_ms)
      }),
    )

    it.effect("racing publishes to one partition are appended in the order of the calls", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const answered = yield* Effect.forEach(
          upTo(100),
          (n) => log.publish(at.racing, 0, numbered(1 + (n % 7), `${n}`)),
          {
            concurrency: "unbounded",
          },
        )
        const expected = upTo(100).flatMap((n) => numbered(1 + (n % 7), `${n}`))
        const stored = yield* take(log.tail(at.racing, 0, "earliest"), expected.length)
        assert.deepStrictEqual(stored.map(plain), expected.map(plain))
        assert.deepStrictEqual(
          answered,
          answered.toSorted((a, b) => a - b),
        )
      }),
    )

    it.effect("earliest and end are the bounds of what is there, for each partition by itself", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.bounds, 2, numbered(5))
        assert.strictEqual(log.partitions, partitionCount)
        assert.deepStrictEqual(
          yield* Effect.forEach(upTo(partitionCount), (p) => log.end(at.bounds, p)),
          upTo(partitionCount).map((p) => (p === 2 ? 5 : 0)),
        )
        assert.strictEqual(yield* log.earliest(at.bounds, 2), 0)
      }),
    )

    it.effect("an empty chunk is nothing", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.bounds, 0, [])
        assert.strictEqual(yield* log.end(at.bounds, 0), 0)
      }),
    )

    it.effect("a reader at the end waits, and gets what is published later", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const reader = yield* Effect.forkChild(take(log.tail(at.waiting, 0, "earliest"), 30))
        for (const n of upTo(10)) yield* log.publish(at.waiting, 0, numbered(3, `${n}`))
        const expected = upTo(10).flatMap((n) => numbered(3, `${n}`))
        assert.deepStrictEqual((yield* Fiber.join(reader)).map(plain), expected.map(plain))
      }),
    )

    it.effect("reads begin at any retained offset, in the middle of a publish too", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        for (const n of upTo(5)) yield* log.publish(at.positions, 0, numbered(10, `${n}`))
        for (const position of [0, 1, 9, 10, 25, 49]) {
          const stored = yield* take(log.tail(at.positions, 0, position), 50 - position)
          assert.deepStrictEqual(offsets(stored), upTo(50).slice(position))
        }
      }),
    )

    it.effect(
      "chunks join without a hole, hold exactly the records from `from` below `next`, and keep to the limits",
      () =>
        Effect.gen(function* () {
          const log = yield* EventLog
          const count = chunkLimits.chunk_records * 2 + 10
          yield* log.publish(at.chunks, 0, numbered(count))
          for (const n of upTo(20)) yield* log.publish(at.chunks, 0, numbered(3, `${n}`))
          const chunks = yield* takeChunks(log.tail(at.chunks, 0, 5), count + 60 - 5)
          let next = 5
          for (const chunk of chunks) {
            assert.strictEqual(chunk.from, next)
            assert.deepStrictEqual(offsets(chunk.records), upTo(chunk.next).slice(chunk.from))
            assert.isAtMost(chunk.records.length, chunkLimits.chunk_records)
            next = chunk.next
          }
          assert.isAtMost(chunks.length, 10, "small publishes are read together")
        }),
    )

    it.effect("a reader that does not pull holds up nobody, and finds everything when it does", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const pull = yield* Stream.toPull(log.tail(at.pull, 0, 0))
        yield* log.publish(at.pull, 0, numbered(1))
        const [first] = yield* pull
        for (const _ of upTo(50)) yield* log.publish(at.pull, 0, numbered(1_000))
        let next = first.next
        while (next < 50_001) {
          for (const chunk of yield* pull) {
            assert.strictEqual(chunk.from, next)
            next = chunk.next
          }
        }
      }),
    )

    it.effect("a topic that nobody declared is refused", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const unknown = `suite-${run}-unknown`
        const failures = yield* Effect.all([
          Effect.flip(log.publish(unknown, 0, numbered(1))),
          Effect.flip(Stream.runDrain(log.tail(unknown, 0, 0))),
          Effect.flip(Stream.runDrain(log.subscribe(unknown, group))),
          Effect.flip(log.end(unknown, 0)),
          Effect.flip(log.earliest(unknown, 0)),
          Effect.flip(log.committed(unknown, group, 0)),
        ])
        for (const failure of failures) assert.strictEqual(failure._tag, "UnknownTopic")
      }),
    )

    it.effect("one member gets all partitions, and reads each from the earliest where nothing is committed", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        for (const p of upTo(partitionCount)) yield* log.publish(at.assigned, p, numbered(3, `${p}`))
        const member = yield* join(at.assigned, group)
        yield* member.owns((owned) => owned.length === partitionCount)
        for (const assigned of member.owned()) {
          assert.strictEqual(assigned.topic, at.assigned)
          assert.isUndefined(yield* assigned.committed)
          const stored = yield* take(assigned.read("committed"), 3)
          assert.deepStrictEqual(stored.map(plain), numbered(3, `${assigned.partition}`).map(plain))
        }
      }),
    )

    it.effect("who joins later goes on from the commit, which is seen from outside", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.resume, 0, numbered(10))
        assert.isUndefined(yield* log.committed(at.resume, group, 0))
        yield* withPartition(at.resume, group, 0, (assigned) => assigned.commit(4))
        assert.deepStrictEqual(yield* log.committed(at.resume, group, 0), { next: 4, metadata: "" })
        assert.isUndefined(yield* log.committed(at.resume, "other", 0))
        assert.isUndefined(yield* log.committed(at.resume, group, 1))
        yield* withPartition(at.resume, group, 0, (assigned) =>
          Effect.gen(function* () {
            assert.strictEqual((yield* assigned.committed)?.next, 4)
            assert.deepStrictEqual(offsets(yield* take(assigned.read("committed"), 6)), [4, 5, 6, 7, 8, 9])
          }),
        )
      }),
    )

    it.effect("a commit may be lower than an earlier one", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.lower, 0, numbered(10))
        yield* withPartition(at.lower, group, 0, (assigned) =>
          Effect.gen(function* () {
            yield* assigned.commit(8)
            yield* assigned.commit(2)
            assert.strictEqual((yield* assigned.committed)?.next, 2)
          }),
        )
        assert.strictEqual((yield* log.committed(at.lower, group, 0))?.next, 2)
      }),
    )

    it.effect("what was committed with the offset comes back as it was, from the last commit alone", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const full = "0123456789abcdef".repeat(commitLimits.metadata_bytes / 16)
        yield* withPartition(at.metadata, group, 0, (assigned) =>
          Effect.gen(function* () {
            for (const metadata of ["with spaces, ünïcode\n", full, ""]) {
              yield* assigned.commit(3, metadata)
              assert.deepStrictEqual(yield* assigned.committed, { next: 3, metadata })
              assert.deepStrictEqual(yield* log.committed(at.metadata, group, 0), { next: 3, metadata })
            }
            yield* assigned.commit(5, "gone with the next")
            yield* assigned.commit(6)
            assert.deepStrictEqual(yield* assigned.committed, { next: 6, metadata: "" })
          }),
        )
      }),
    )

    it.effect("to seek is to stop a read and start another, anywhere, as often as one likes", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.seek, 0, numbered(10))
        yield* withPartition(at.seek, group, 0, (assigned) =>
          Effect.gen(function* () {
            for (const position of [0, 7, 3, "earliest", 9, 0] satisfies ReadonlyArray<Position>) {
              const from = position === "earliest" ? 0 : position
              const [first] = yield* take(assigned.read(position), 10 - from)
              assert.strictEqual(first?.offset, from)
            }
          }),
        )
      }),
    )

    it.effect("a new member takes partitions over: the old reads end and commits fail before", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        const old = yield* join(at.join, group)
        yield* old.owns((owned) => owned.length === partitionCount)
        const before = old.owned()
        const reads = yield* Effect.forEach(before, (assigned) =>
          Effect.forkChild(Stream.runDrain(assigned.read("committed"))),
        )
        const young = yield* join(at.join, group)
        yield* young.owns((owned) => owned.length > 0 && owned.length + old.owned().length === partitionCount)
        const taken = new Set(young.owned().map(({ partition }) => partition))
        for (const [i, assigned] of before.entries()) {
          if (!taken.has(assigned.partition)) continue
          yield* assigned.revoked.pipe(within("the revocation of a partition that is not ours any more"))
          yield* Fiber.join(reads[i]!).pipe(within("the end of a read of a partition that is revoked"))
          yield* Stream.runDrain(assigned.read("earliest")).pipe(
            within("the end of a read that begins after the revocation"),
          )
          assert.strictEqual((yield* Effect.flip(assigned.commit(1)))._tag, "PartitionRevoked")
          assert.strictEqual((yield* Effect.flip(assigned.committed))._tag, "PartitionRevoked")
          assert.isUndefined(yield* log.committed(at.join, group, assigned.partition))
        }
        assert.deepStrictEqual(new Set([...partitionsOf(old), ...taken]), new Set(upTo(partitionCount)))
      }),
    )

    it.effect("when a member leaves the others get its partitions, with its commits", () =>
      Effect.gen(function* () {
        const log = yield* EventLog
        yield* log.publish(at.leave, 0, numbered(3))
        const stays = yield* join(at.leave, group)
        const scope = yield* Scope.make()
        const leaves = yield* Scope.provide(join(at.leave, group), scope)
        yield* leaves.owns((owned) => owned.length > 0 && owned.length + stays.owned().length === partitionCount)
        const left = leaves.owned()
        for (const assigned of left) yield* assigned.commit(2, "two")
        yield* Scope.close(scope, Exit.void)
        yield* stays.owns((owned) => owned.length === partitionCount)
        for (const assigned of left) {
          yield* assigned.revoked.pipe(within("the revocation of a partition that is not ours any more"))
          assert.strictEqual((yield* Effect.flip(assigned.commit(3)))._tag, "PartitionRevoked")
          assert.deepStrictEqual(yield* log.committed(at.leave, group, assigned.partition), {
            next: 2,
            metadata: "two",
          })
        }
      }),
    )

    it.effect(
      "while members come and go every record is read in order, from each commit on, by one owner at a time",
      () =>
        Effect.gen(function* () {
          const log = yield* EventLog
          const total = 2_000
          const consumed = yield* Ref.make<ReadonlyArray<Chunk>>([])
          const member = Stream.runDrain(
            Stream.flatMap(log.subscribe(at.churn, group), (assigned) => consume(assigned, consumed), {
              concurrency: "unbounded",
            }),
          )
          const isDone = Effect.map(
            Effect.forEach(upTo(partitionCount), (p) => log.committed(at.churn, group, p)),
            (commits) => commits.reduce<number>((sum, next) => sum + (next?.next ?? 0), 0) === total,
          )
          const stays = yield* Effect.forkChild(member)
          for (const n of upTo(10)) {
            const comes = yield* Effect.forkChild(member)
            for (const p of upTo(partitionCount))
              yield* log.publish(at.churn, p, numbered(total / 10 / partitionCount, `${n}`))
            yield* eventually(
              "a record more is read",
              Effect.map(Ref.get(consumed), (chunks) => chunks.length > n),
            )
            yield* Fiber.interrupt(comes)
          }
          yield* eventually("everything is committed", isDone, 60_000)
          yield* Fiber.interrupt(stays)
          assertNoGap(yield* Ref.get(consumed), total / partitionCount)
        }),
    )

    if (options.retainsPromptly ?? true) {
      it.effect("a read before the earliest offset begins there, and `from` tells; the end stays", () =>
        Effect.gen(function* () {
          const log = yield* EventLog
          for (const _ of upTo(20)) yield* log.publish(at.retention, 0, [{ key: "k", value: new Uint8Array(10_000) }])
          yield* eventually(
            "retention removes the oldest records",
            Effect.map(log.earliest(at.retention, 0), (earliest) => earliest > 10),
          )
          const [chunk] = yield* takeChunks(log.tail(at.retention, 0, 0), 1)
          const earliest = yield* log.earliest(at.retention, 0)
          assert.strictEqual(chunk?.from, earliest)
          assert.strictEqual(chunk?.records[0]?.offset, earliest)
          assert.strictEqual(yield* log.end(at.retention, 0), 20)
          yield* withPartition(at.retention, group, 0, (assigned) =>
            Effect.gen(function* () {
              yield* assigned.commit(3)
              const [first] = yield* take(assigned.read("committed"), 1)
              assert.isAtLeast(first?.offset ?? 0, earliest)
            }),
          )
        }),
      )
    }

    const { reopen } = options
    if (reopen !== undefined) {
      it.effect("after closing and opening everything is there: records, offsets, commits, incarnation", () =>
        Effect.gen(function* () {
          const opened = <A, E2>(use: (log: EventLog["Service"]) => Effect.Effect<A, E2, Scope.Scope | EventLog>) =>
            EventLog.use(use).pipe(
              Effect.scoped,
              Effect.provide(reopen({ ...request, topics: [at.reopen] }), { local: true }),
            )
          const incarnation = yield* opened((log) =>
            Effect.gen(function* () {
              yield* log.publish(at.reopen, 0, various)
              yield* withPartition(at.reopen, group, 0, (assigned) => assigned.commit(1, "what was finished"))
              return log.incarnation
            }),
          )
          yield* opened((log) =>
            Effect.gen(function* () {
              assert.strictEqual(log.incarnation, incarnation)
              assert.deepStrictEqual(yield* log.committed(at.reopen, group, 0), {
                next: 1,
                metadata: "what was finished",
              })
              assert.strictEqual(yield* log.publish(at.reopen, 0, numbered(1)), various.length)
              const stored = yield* take(log.tail(at.reopen, 0, "earliest"), various.length + 1)
              assert.deepStrictEqual(stored.map(plain), [...various, ...numbered(1)].map(plain))
            }),
          )
        }),
      )
    }
  })
}

const partitionCount = 4
/** The clock of a broker on another machine may differ. */
const clockSkew_ms = 5_000

const upTo = (n: number): ReadonlyArray<number> => Array.from({ length: n }, (_, i) => i)

const encoder = new TextEncoder()

const numbered = (count: number, name = ""): ReadonlyArray<LogRecord> =>
  upTo(count).map((n) => ({ key: `client-${n % 10}`, value: encoder.encode(`${name}:${n}`) }))

/** Every kind of record. */
const various: ReadonlyArray<LogRecord> = [
  { key: "plain", value: encoder.encode("text") },
  { key: "empty", value: new Uint8Array() },
  { key: "binary", value: Uint8Array.from(upTo(256)) },
  { key: "headers", value: encoder.encode("x"), headers: { trace: "1", ключ: "значение" } },
  { key: "", value: encoder.encode("no key") },
  { key: "", value: new Uint8Array(), headers: {} },
  {
    key: "a b/c\u0000\n😀%2F",
    value: encoder.encode("x"),
    headers: { "": "no name", empty: "", "a\u0000": "\u0000\ufffd" },
  },
  { key: "__proto__", value: encoder.encode("x"), headers: JSON.parse(`{"__proto__":"own","constructor":"own"}`) },
  { key: "r".repeat(256), value: encoder.encode("x"), headers: { large: "é".repeat(50_000) } },
  { key: "имя-✓", value: encoder.encode("имя") },
  { key: "large", value: new Uint8Array(300_000).fill(7) },
]

/** A record without the fields that the log adds, in a form that can be compared. */
const plain = ({ headers, key, value }: LogRecord) => ({
  key,
  value: value.length > 1_000 ? `${value.length} × ${value[0]}` : Array.from(value).join(" "),
  headers: headers === undefined ? {} : { ...headers },
})

const offsets = (records: ReadonlyArray<StoredRecord>) => records.map(({ offset }) => offset)

/** The chunks with the first `count` records. */
const takeChunks = <E>(chunks: Stream.Stream<Chunk, E>, count: number) =>
  Stream.suspend(() => {
    let left = count
    return Stream.takeUntil(chunks, ({ records }) => (left -= records.length) <= 0)
  }).pipe(Stream.runCollect, within(`${count} records of a read`, 60_000))

const take = <E>(chunks: Stream.Stream<Chunk, E>, count: number) =>
  Effect.map(takeChunks(chunks, count), (taken) => taken.flatMap(({ records }) => records).slice(0, count))

/** Joins a group until the scope closes, and knows its partitions at any moment. */
const join = Effect.fnUntraced(function* (topic: string, group: string) {
  const log = yield* EventLog
  const owned = new Map<number, AssignedPartition>()
  yield* Stream.runForEach(log.subscribe(topic, group), (assigned) =>
    Effect.gen(function* () {
      owned.set(assigned.partition, assigned)
      yield* Effect.forkScoped(
        Effect.map(
          assigned.revoked,
          () => owned.get(assigned.partition) === assigned && owned.delete(assigned.partition),
        ),
      )
    }),
  ).pipe(Effect.forkScoped)
  const current = (): ReadonlyArray<AssignedPartition> => [...owned.values()]
  return {
    owned: current,
    owns: (condition: (owned: ReadonlyArray<AssignedPartition>) => boolean) =>
      eventually(
        "a rebalance ends, and each member has the partitions that it should have",
        Effect.sync(() => condition(current())),
        60_000,
      ),
  }
})

const partitionsOf = (member: { readonly owned: () => ReadonlyArray<AssignedPartition> }) =>
  member.owned().map(({ partition }) => partition)

/** Joins a group alone, uses one of its partitions, and leaves. */
const withPartition = <A, E, R>(
  topic: string,
  group: string,
  partition: number,
  use: (assigned: AssignedPartition) => Effect.Effect<A, E, R>,
) =>
  Effect.gen(function* () {
    const member = yield* join(topic, group)
    yield* member.owns((owned) => owned.some((assigned) => assigned.partition === partition))
    const assigned = yield* Effect.fromNullishOr(member.owned().find((assigned) => assigned.partition === partition))
    return yield* use(assigned)
  }).pipe(Effect.scoped)

/** Reads from the commit on, and commits what it has recorded. */
const consume = (assigned: AssignedPartition, consumed: Ref.Ref<ReadonlyArray<Chunk>>) =>
  assigned.read("committed").pipe(
    Stream.mapEffect((chunk) =>
      Effect.gen(function* () {
        yield* Ref.update(consumed, (chunks) => [...chunks, chunk])
        yield* assigned.commit(chunk.next)
      }),
    ),
    Stream.catchTag("PartitionRevoked", () => Stream.empty),
  )

/** The chunks of a partition in the order of reading. Each begins at or before the end of those before it. */
const assertNoGap = (chunks: ReadonlyArray<Chunk>, end: number) => {
  for (const partition of upTo(partitionCount)) {
    let next = 0
    for (const chunk of chunks.filter((chunk) => chunk.partition === partition)) {
      assert.isAtMost(chunk.from, next)
      next = Math.max(next, chunk.next)
    }
    assert.strictEqual(next, end)
  }
}
