/** With three brokers of its own, each of which has all records, while one of them is killed, hangs or is stopped. */
import { assert, describe, it } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import { type AssignedPartition, EventLog, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Logger, Schedule, Stream } from "effect"
import { inject } from "vitest"
import { type KafkaCluster, startKafkaCluster } from "../../../../scripts/services/KafkaCluster.ts"
import type { Service } from "../../../../scripts/services/Service.ts"
import { kafkaLimits } from "../Limits.ts"
import { layerWith } from "./EventLog.ts"
import { makeKafka } from "./KafkaJs.ts"
import { type Link, openLink } from "./Link.ts"

const topic = "t"
const group = "g"
const partitions = [0, 1, 2]
const within_ms = 60_000

const limits = {
  ...kafkaLimits,
  answer_timeout_ms: 1_000,
  request_timeout_ms: 3_000,
  question_timeout_ms: 2_000,
  heartbeat_ms: 200,
  session_timeout_ms: 6_000,
}

/** A log of one's own, for as long as the scope lives. */
const open = (brokers: ReadonlyArray<string>) =>
  Effect.map(
    Layer.build(
      Layer.fresh(layerWith({ brokers, topics: [topic], partitions: partitions.length, limits })).pipe(
        Layer.provide(Topics.layerDefault),
      ),
    ),
    (context) => EventLog.pipe(Effect.provide(context)),
  ).pipe(Effect.flatten)

const publishTo = (log: EventLog["Service"], partition: number, numbers: ReadonlyArray<number>) => {
  const records = numbers.map((n): LogRecord => ({ key: "k", value: new TextEncoder().encode(String(n)) }))
  return log.publish(topic, partition, records)
}

/** Numbers into each partition, three at a time and in order, until it is told to stop. */
const startPublishing = Effect.fnUntraced(function* (log: EventLog["Service"]) {
  const published = partitions.map(() => 0)
  let isDone = false
  const publish = (partition: number) =>
    Effect.suspend(() => {
      const n = published[partition] ?? 0
      return Effect.map(publishTo(log, partition, [n, n + 1, n + 2]), () => (published[partition] = n + 3))
    }).pipe(Effect.andThen(Effect.sleep(20)), Effect.repeat({ until: () => isDone }))
  const publishing = yield* Effect.forkScoped(Effect.forEach(partitions, publish, { concurrency: "unbounded" }))
  const stop = Effect.suspend(() => {
    isDone = true
    return Fiber.join(publishing)
  })
  return { published, stop }
})

/** How far the members of a group have read and committed each partition, and what they should not have seen. */
class Progress {
  readonly read = partitions.map(() => 0)
  readonly committed = partitions.map(() => 0)
  readonly faults: Array<string> = []
  /** Every commit that was tried, acknowledged or not: a read may begin at any of them. */
  readonly #tried = partitions.map(() => new Set([0]))

  follow({ commit, partition, read }: AssignedPartition): Effect.Effect<void> {
    return Effect.suspend(() => {
      let next: number | undefined
      return Stream.runForEach(read("committed"), (chunk) =>
        Effect.suspend(() => {
          const mayBegin = next === undefined ? this.#tried[partition]?.has(chunk.from) : chunk.from === next
          if (mayBegin !== true) this.faults.push(`${partition}: reads ${chunk.from} after ${next ?? "a commit"}`)
          next = chunk.next
          this.read[partition] = Math.max(next, this.read[partition] ?? 0)
          this.#tried[partition]?.add(next)
          return Effect.andThen(
            commit(next),
            Effect.sync(() => (this.committed[partition] = chunk.next)),
          )
        }),
      )
    }).pipe(
      // Revoked, or the coordinator is not there: another read begins at the commit.
      Effect.catchTag("PartitionRevoked", () => Effect.void),
      Effect.retry(Schedule.spaced(100)),
      Effect.orDie,
    )
  }
}

/** Which broker does what, as the brokers say. */
const roles = (link: Link) => {
  const partitionsNow = Effect.map(link.recover, () => link.cluster.findTopicPartitionMetadata(topic))
  const all = (condition: (partition: { leader: number; replicas: Array<number>; isr: Array<number> }) => boolean) =>
    Effect.map(partitionsNow, (found) => found.length === partitions.length && found.every(condition))
  return {
    leaderOf: (partition: number) =>
      Effect.map(partitionsNow, (found) => found.find(({ partitionId }) => partitionId === partition)?.leader ?? 0),
    coordinator: Effect.promise(async () => {
      // Its type does not know that there are other kinds of coordinators, and that it has to be told which.
      const question = { groupId: group, coordinatorType: 0 }
      const { coordinator } = await link.cluster.findGroupCoordinatorMetadata(question)
      return coordinator.nodeId
    }),
    /** Nobody is missing, and everybody leads what they are meant to. */
    areAsBefore: all(({ isr, leader, replicas }) => isr.length === 3 && leader === replicas[0]).pipe(
      Effect.catch(() => Effect.succeed(false)),
    ),
  }
}

describe.skipIf(inject("services").kafka === undefined)("three brokers", () => {
  it.live(
    "lose and repeat nothing while one of them is killed, hangs or is stopped, and readers move on",
    () => {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      return Effect.gen(function* () {
        const warnings = yield* nodeWarnings
        const cluster = yield* startCluster
        const publisher = yield* open(cluster.brokers)
        const { leaderOf, areAsBefore, coordinator } = roles(
          yield* openLink(
            yield* makeKafka({ brokers: cluster.brokers, clientId: "test", tls: false }, limits, () => {}),
            [topic],
            limits,
          ),
        )
        const progress = new Progress()
        for (const member of [yield* open(cluster.brokers), yield* open(cluster.brokers)]) {
          yield* Effect.forkScoped(
            Stream.runForEach(member.subscribe(topic, group), (assigned) =>
              Effect.forkScoped(progress.follow(assigned)),
            ),
          )
        }
        const { published, stop } = yield* startPublishing(publisher)
        const goesOn = (what: string) =>
          Effect.suspend(() => {
            const before = [...published]
            const isBeyond = (now: ReadonlyArray<number>) => before.every((n, i) => (now[i] ?? 0) > n + 30)
            return eventually(
              `publishing, reading and committing go on ${what}`,
              Effect.sync(() => [published, progress.read, progress.committed].every(isBeyond)),
              within_ms,
            )
          })
        yield* goesOn("at first")

        const killed = cluster.broker(yield* leaderOf(0))
        yield* Effect.promise(() => killed.kill())
        yield* goesOn("without the one that was killed")
        yield* Effect.promise(() => killed.start())
        yield* eventually("it leads again", areAsBefore, within_ms)
        yield* goesOn("with it")

        const hanging = cluster.broker(yield* leaderOf(1))
        signal(hanging, "SIGSTOP")
        yield* goesOn("without the one that hangs")
        // What it had been sent before it does now, and nobody may take it for the leader.
        signal(hanging, "SIGCONT")
        yield* eventually("it leads again", areAsBefore, within_ms)

        const stopped = cluster.broker(yield* coordinator)
        yield* Effect.promise(() => stopped.stop())
        yield* goesOn("without the one that was stopped, which was the group's coordinator")

        yield* stop
        const isRead = Effect.sync(() => published.every((n, i) => progress.committed[i] === n))
        yield* eventually("everything is read and committed", isRead, within_ms)
        assert.deepStrictEqual(progress.faults, [])
        for (const partition of partitions) {
          const count = published[partition] ?? 0
          const chunks = publisher.tail(topic, partition, "earliest")
          const stored = yield* Stream.runCollect(Stream.takeUntil(chunks, ({ next }) => next >= count))
          assert.deepStrictEqual(
            stored.flatMap(({ records }) => records.map(({ value }) => Number(new TextDecoder().decode(value)))),
            Array.from({ length: count }, (_, n) => n),
          )
          assert.strictEqual(yield* publisher.end(topic, partition), count)
        }
        // One for each reader and fault, or a few: not one for every attempt.
        assert.isBelow(lines.filter((line) => line.includes("can't be read")).length, 20, lines.join("\n"))
        assert.notInclude(warnings, "MaxListenersExceededWarning")
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
    },
    300_000,
  )
})

const startCluster = Effect.acquireRelease(
  Effect.promise(() => startKafkaCluster(3)),
  (cluster: KafkaCluster) => Effect.promise(() => cluster.stop()),
)

/** The names of what Node warns of. */
const nodeWarnings = Effect.acquireRelease(
  Effect.sync(() => {
    const names: Array<string> = []
    const note = ({ name }: Error) => void names.push(name)
    process.on("warning", note)
    return { names, note }
  }),
  ({ note }) => Effect.sync(() => process.off("warning", note)),
).pipe(Effect.map(({ names }) => names))

const signal = ({ group }: Service, name: "SIGSTOP" | "SIGCONT"): void => {
  if (group === undefined) throw new Error("the broker does not run")
  process.kill(-group, name)
}
