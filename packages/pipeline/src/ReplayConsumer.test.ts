import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { MailboxUnavailable, RegistryUnavailable } from "@nimbus/domain/errors"
import { Epoch, Incarnation, Journey, start as beginning } from "@nimbus/domain/protocol"
import { EventLog, Mailbox, PodChannel, Registry, Topics } from "@nimbus/domain/services"
import type { ReplayConsumerLimits } from "./Limits.ts"
import * as Quarantine from "./Quarantine.ts"
import * as ReplayConsumer from "./ReplayConsumer.ts"
import {
  append,
  assign,
  client,
  counts,
  event,
  eventually,
  hasRecords,
  mailbox_age_ms,
  MailboxStore,
  inTestEnvironment,
  placedBarrier,
  pod,
  raw,
  result,
  settle,
  start,
  textOf,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const startWith = (limits: Partial<ReplayConsumerLimits> = {}) =>
  start(ReplayConsumer.layerWith({ ...quickLimits, ...limits }))

const everything = { results: 10_000, bytes: 10_000_000 }
const pageOf = Effect.fnUntraced(function* (clientId: string) {
  return yield* (yield* Mailbox).page(client(clientId), beginning, everything)
})
const seqsOf = (clientId: string) =>
  Effect.map(pageOf(clientId), ({ records }) => records.map(({ seq }) => Number(seq)))

const offset = Effect.flatMap(Mailbox, (mailbox) => mailbox.offset(0))
const putTo = (next: number) =>
  eventually(
    `put up to ${next}`,
    Effect.map(offset, (is) => is === next),
  )

/** The mail that the pod gets from now on. */
const mail = Effect.gen(function* () {
  const clients: Array<string> = []
  const batches = yield* (yield* PodChannel).subscribe(pod)
  yield* Effect.forkScoped(
    Stream.runForEach(batches, (batch) =>
      Effect.sync(() => {
        for (const message of batch) if (message._tag === "Mail") clients.push(message.clientId)
      }),
    ),
  )
  return clients
})

describe("ReplayConsumer", () => {
  it.live("puts each client's records into its mailbox, in order, and remembers how far it got", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      const log = yield* EventLog
      yield* startWith()
      yield* append(dlq, placedBarrier("a", 0), result("b", 1), result("a", 2))
      yield* append(dlq, result("a", 2), result("a", 3))
      yield* putTo(5)
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 2, 3])
      assert.deepStrictEqual(yield* seqsOf("b"), [1])
      yield* eventually(
        "a commit for the lag",
        Effect.map(log.committed(dlq, "nimbus-replay-consumer", 0), (is) => is?.next === 5),
      )
    }).pipe(inTestEnvironment()),
  )

  it.live("tells the pods of clients that are here, once per chunk, and nobody else", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      const clients = yield* mail
      yield* (yield* Registry).lease(pod, 600_000)
      yield* (yield* Registry).connect(client("a"), pod, Epoch.make(1))
      yield* append(dlq, result("a", 0), result("b", 1), result("a", 2))
      yield* startWith()
      yield* putTo(3)
      yield* eventually("mail", () => clients.length > 0)
      yield* settle
      assert.deepStrictEqual(clients, ["a"])
    }).pipe(inTestEnvironment()),
  )

  it.live("goes on putting while the registry does not answer", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      yield* startWith()
      yield* append(dlq, result("a", 0))
      yield* putTo(1)
      yield* append(dlq, result("a", 1))
      yield* putTo(2)
    }).pipe(
      Effect.provide(
        Layer.effect(
          Registry,
          Effect.map(Registry, (registry) => ({ ...registry, pods: () => Effect.fail(registryDown) })),
        ),
      ),
      inTestEnvironment(),
    ),
  )

  it.live("tells of what it has put also when it loses the partition before it could", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      yield* (yield* Registry).connect(client("a"), pod, Epoch.make(1))
      const told = yield* mail
      const partition = yield* assign(dlq, undefined)
      yield* startWith()
      yield* append(dlq, result("a", 0))
      yield* putTo(1)
      yield* partition.revoke
      yield* eventually("mail for a", () => told.includes("a"))
    }).pipe(
      Effect.provide(
        Layer.effect(
          Registry,
          Effect.map(Registry, (registry) => {
            let asked = 0
            const pods: typeof registry.pods = (ids) => (asked++ === 0 ? Effect.never : registry.pods(ids))
            return { ...registry, pods }
          }),
        ),
      ),
      inTestEnvironment(),
    ),
  )

  it.live("begins at the mailboxes' own offset, whatever the group has committed", () =>
    Effect.gen(function* () {
      const { dlq, events } = yield* Topics
      for (let i = 0; i < 4; i++) yield* append(events, event("a", `e${i}`, "sq", {}))
      const first = yield* startWith()
      yield* append(dlq, result("a", 0), result("a", 1))
      yield* putTo(2)
      const { restore, snapshot } = yield* MailboxStore
      const then = snapshot()
      yield* append(dlq, result("a", 2), result("a", 3))
      yield* putTo(4)
      yield* first.stop
      // The store loses what the group's commit says is done.
      restore(then)
      yield* startWith()
      yield* putTo(4)
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 1, 2, 3])
    }).pipe(inTestEnvironment()),
  )

  it.live("goes back to where the mailboxes are when they roll back under it", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      const { restore, snapshot } = yield* MailboxStore
      yield* startWith()
      yield* append(dlq, result("a", 0))
      yield* putTo(1)
      const then = snapshot()
      yield* append(dlq, result("a", 1), result("a", 2))
      yield* putTo(3)
      restore(then)
      yield* append(dlq, result("a", 3))
      yield* putTo(4)
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 1, 2, 3])
      assert.strictEqual((yield* pageOf("a")).hole, -1)
      assert.strictEqual((yield* counts)["nimbus_mailbox_rewinds_total "], 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("puts again what the mailboxes lose while nothing comes", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      const { restore, snapshot } = yield* MailboxStore
      yield* startWith({ look_every_ms: 5 })
      yield* append(dlq, result("a", 0))
      yield* putTo(1)
      const then = snapshot()
      yield* append(dlq, result("a", 1), result("a", 2))
      yield* putTo(3)
      restore(then)
      yield* putTo(3)
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 1, 2])
      assert.strictEqual((yield* counts)["nimbus_mailbox_rewinds_total "], 1)
    }).pipe(inTestEnvironment()),
  )

  it.live("puts again until the store has it, also when it had taken it and the answer was lost", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      yield* startWith()
      yield* append(dlq, result("a", 0))
      yield* putTo(1)
      yield* append(dlq, result("a", 1))
      yield* putTo(2)
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 1])
      // Nobody else was here: it knows its own put again.
      assert.isUndefined((yield* counts)["nimbus_mailbox_rewinds_total "])
    }).pipe(
      Effect.provide(
        Layer.effect(
          Mailbox,
          Effect.map(Mailbox, (mailbox) => {
            let puts = 0
            return {
              ...mailbox,
              put: (partition, put) =>
                Effect.suspend(() => {
                  puts++
                  if (puts % 3 === 1) return Effect.fail(storeDown)
                  const taken = mailbox.put(partition, put)
                  return puts % 3 === 2 ? Effect.andThen(taken, Effect.fail(storeDown)) : taken
                }),
            }
          }),
        ),
      ),
      inTestEnvironment(),
    ),
  )

  it.live("says that there is a hole where the backlog has lost records before they were put", () =>
    Effect.gen(function* () {
      const { dlq, events } = yield* Topics
      const log = yield* EventLog
      for (let i = 0; i < 40; i++) yield* append(events, event("b", `e${i}`, "sq", {}))
      const first = yield* startWith()
      yield* append(dlq, result("a", 3))
      yield* putTo(1)
      yield* first.stop
      for (let seq = 4; seq < 40; seq++) yield* append(dlq, result("a", seq))
      yield* eventually(
        "the backlog has lost something that was never put",
        Effect.map(log.earliest(dlq, 0), (earliest) => earliest > 1),
      )
      yield* startWith()
      yield* putTo(37)
      const { hole, records } = yield* pageOf("a")
      assert.strictEqual(hole, yield* log.end(events, 0))
      const [before, ...kept] = records.map(({ seq }) => Number(seq))
      assert.strictEqual(before, 3)
      // Retention may have gone on meanwhile: what is there is the end of the backlog, whole.
      assert.isBelow(kept.length, 36)
      assert.isNotEmpty(kept)
      assert.deepStrictEqual(
        kept,
        kept.map((_, i) => 40 - kept.length + i),
      )
    }).pipe(inTestEnvironment({ retention: { retention_bytes: 1_000 }, limits: { retention_every_ms: 1 } })),
  )

  it.live("quarantines what it can't read, and puts the rest", () =>
    Effect.gen(function* () {
      const { dlq, quarantine } = yield* Topics
      yield* startWith()
      yield* append(
        dlq,
        result("a", 0),
        raw("a", "not ours"),
        raw("a", `{"seq":5,"barrier":{"epoch":-1}}`),
        result("a", 6),
      )
      yield* putTo(4)
      const [first, second] = yield* hasRecords(quarantine, 2)
      assert.strictEqual(textOf(first), "not ours")
      assert.strictEqual(first?.headers?.[Quarantine.headers.topic], dlq)
      assert.include(second?.headers?.[Quarantine.headers.reason], "epoch")
      assert.deepStrictEqual(yield* seqsOf("a"), [0, 6])
    }).pipe(inTestEnvironment()),
  )

  it.effect("fills a wiped store again no faster than its bound, and no slower where the clock is set back", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      const { restore, snapshot } = yield* MailboxStore
      const clock = yield* Clock.Clock
      let back_ms = 0
      const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() - back_ms
      const currentTimeMillis = Effect.sync(currentTimeMillisUnsafe)
      const setBack: Clock.Clock = { ...clock, currentTimeMillis, currentTimeMillisUnsafe }
      const first = yield* startWith()
      const empty = snapshot()
      for (let seq = 0; seq < 100; seq++) yield* append(dlq, result("a", seq))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* offset, 100)
      yield* first.stop
      restore(empty)
      yield* Effect.provideService(startWith({ rebuild_records_per_second: 10 }), Clock.Clock, setBack)
      const offsets: Array<number | undefined> = []
      for (let second = 0; second < 3; second++) {
        yield* settle
        offsets.push(yield* offset)
        back_ms = 3_600_000
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(offsets, [10, 20, 30])
      for (let second = 0; second < 7; second++) {
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(yield* offset, 100)
      assert.lengthOf(yield* seqsOf("a"), 100)
    }).pipe(inTestEnvironment({ limits: { chunk_records: 10 } })),
  )

  it.effect("enforces the mailboxes' age limit now and then", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      yield* startWith({ expire_every_ms: mailbox_age_ms / 2 })
      yield* append(dlq, result("a", 0))
      yield* settle
      assert.deepStrictEqual(yield* seqsOf("a"), [0])
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust(mailbox_age_ms / 2), settle)
      assert.deepStrictEqual(yield* seqsOf("a"), [])
      assert.strictEqual((yield* pageOf("a")).floor, 0)
    }).pipe(inTestEnvironment()),
  )

  it.live("refuses a store that belongs to another log", () =>
    Effect.gen(function* () {
      const mailbox = yield* Mailbox
      yield* mailbox.claim({ incarnation: Incarnation.make("another"), partitions: 1, ends: [0] })
      const exit = yield* Effect.exit(startWith())
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("StoreMismatch"))
    }).pipe(inTestEnvironment()),
  )

  it.live("adds its step to the journey of what is sampled", () =>
    Effect.gen(function* () {
      const { dlq } = yield* Topics
      yield* startWith()
      const spilled: Journey.JourneyStep = { time: 1, service: "result-consumer", instance: "x", step: "shelved" }
      yield* append(dlq, { ...result("a", 0), headers: Journey.sample(spilled) }, result("a", 1))
      yield* putTo(2)
      const { records } = yield* pageOf("a")
      assert.deepStrictEqual(
        records.map(({ headers }) => Journey.steps(headers).map(({ step }) => step)),
        [["shelved", "put"], []],
      )
    }).pipe(inTestEnvironment()),
  )
})

const registryDown = new RegistryUnavailable({ operation: "pods", cause: "told to fail" })
const storeDown = new MailboxUnavailable({ operation: "put", cause: "told to fail" })
