import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { StoredAuditEntry } from "../access/AuditBook.ts"
import { LogUnavailable } from "../Errors.ts"
import { Audit, type AuditEntry } from "./Audit.ts"
import * as AuditLog from "./AuditLog.ts"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { Topics } from "./Topics.ts"

const topic = Topics.locked.audit
const log = EventLogMemory.layerMemory().pipe(Layer.provideMerge(Topics.layerLocked))

const login = (subject: string): AuditEntry => ({
  action: "login",
  outcome: "OK",
  issuer: "https://issuer.test",
  subject,
  address: "192.0.2.1",
  transport: "/v1/stream",
})

/** All that the topic has. */
const stored = Effect.gen(function* () {
  const { end, partitions, tail } = yield* EventLog
  const entries: Array<StoredAuditEntry> = []
  for (let partition = 0; partition < partitions; partition++) {
    const count = yield* end(topic, partition)
    if (count === 0) continue
    const records = yield* tail(topic, partition, 0).pipe(
      Stream.flatMap(({ records }) => Stream.fromIterable(records)),
      Stream.take(count),
      Stream.runCollect,
    )
    for (const record of records) entries.push(...[AuditLog.entryOf(record)].filter((entry) => entry !== undefined))
  }
  return entries.toSorted((one, other) => one.time - other.time)
})

/** What it logs. */
const logged = <A, E, R>(test: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, message }) =>
    lines.push(`${message} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`),
  )
  return Effect.provide(test(lines), Logger.layer([logger]))
}

const audit = <A, E, R>(use: (audit: Audit["Service"]) => Effect.Effect<A, E, R>, limits = {}) =>
  Effect.scoped(
    Effect.flatMap(Layer.build(Layer.fresh(AuditLog.layerWith(limits))), (services) =>
      Audit.use(use).pipe(Effect.provide(services)),
    ),
  )

describe("AuditLog", () => {
  it.effect("writes each entry to the topic and to the log, and repeats once, with their number", () =>
    logged((lines) =>
      Effect.gen(function* () {
        yield* audit(({ record }) =>
          Effect.gen(function* () {
            for (const subject of ["alice", "bob", "alice", "alice"]) record(login(subject))
            yield* TestClock.adjust("1 second")
            assert.deepStrictEqual((yield* stored).map(({ repeats, subject }) => [subject, repeats]).toSorted(), [
              ["alice", undefined],
              ["bob", undefined],
            ])
            yield* TestClock.adjust("2 minutes")
          }),
        )
        const all = (yield* stored).map(({ repeats, subject }) => `${subject} ${repeats?.count ?? "once"}`)
        assert.sameMembers(all, ["alice 2", "alice once", "bob once"])
        const told = lines.filter((line) => line.startsWith("audit: login OK"))
        assert.strictEqual(told.length, 3)
        assert.include(told[0], `"subject":"alice"`)
        assert.include(told[0], `"address":"192.0.2.1"`)
        assert.include(told[2], `"repeats":2`)
      }),
    ).pipe(Effect.provide(log)),
  )

  it.effect("writes what waits, and repeats that are not over, when it ends", () =>
    Effect.gen(function* () {
      yield* audit(({ record }) =>
        Effect.sync(() => {
          record(login("alice"))
          record(login("alice"))
        }),
      )
      assert.deepStrictEqual(
        (yield* stored).map(({ repeats }) => repeats?.count),
        [undefined, 1],
      )
    }).pipe(Effect.provide(log)),
  )

  it.effect("loses none that were on their way into the log when it ends", () =>
    Effect.gen(function* () {
      const below = yield* EventLog
      const state = { hangs: true }
      const hanging = EventLog.of({
        ...below,
        publish: (...asked) => (state.hangs ? Effect.never : below.publish(...asked)),
      })
      const subjects = Array.from({ length: 20 }, (_, i) => `s${i}`)
      yield* audit(({ record }) =>
        Effect.gen(function* () {
          for (const subject of subjects) record(login(subject))
          yield* TestClock.adjust("10 seconds")
          state.hangs = false
        }),
      ).pipe(Effect.provideService(EventLog, hanging))
      assert.sameMembers(
        (yield* stored).map(({ subject }) => subject),
        subjects,
      )
    }).pipe(Effect.provide(log)),
  )

  it.effect("keeps entries while the log can't be written to, up to its bound, and tells of those it drops", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const below = yield* EventLog
        const state = { fails: true }
        const failing = EventLog.of({
          ...below,
          publish: (topic, partition, records) =>
            state.fails
              ? Effect.fail(new LogUnavailable({ topic, operation: "publish", cause: "away" }))
              : below.publish(topic, partition, records),
        })
        yield* audit(
          ({ record }) =>
            Effect.gen(function* () {
              for (let i = 0; i < 10; i++) record(login(`early-${i}`))
              yield* TestClock.adjust("1 second")
              for (let i = 0; i < 20; i++) record(login(`late-${i}`))
              yield* TestClock.adjust("10 seconds")
              state.fails = false
              yield* TestClock.adjust("10 seconds")
            }),
          { audit_waiting: 20 },
        ).pipe(Effect.provideService(EventLog, failing))
        const subjects = (yield* stored).map(({ subject }) => subject)
        assert.strictEqual(subjects.length, 20)
        assert.isTrue(subjects.every((subject) => subject?.startsWith("late")))
        assert.isTrue(lines.some((line) => line.startsWith("audit: 10 entries were dropped")))
      }),
    ).pipe(Effect.provide(log)),
  )

  it.effect("takes a bounded part of the log of the process", () =>
    logged((lines) =>
      Effect.gen(function* () {
        yield* audit(({ record }) =>
          Effect.gen(function* () {
            for (let i = 0; i < 1_000; i++) record(login(`s${i}`))
            yield* TestClock.adjust("1 second")
          }),
        )
        assert.strictEqual((yield* stored).length, 1_000)
        assert.strictEqual(lines.filter((line) => line.startsWith("audit: login")).length, 50)
        assert.isTrue(lines.some((line) => line.startsWith("audit: and 950 more")))
      }),
    ).pipe(Effect.provide(log)),
  )
})
