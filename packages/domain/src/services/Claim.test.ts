import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Ref } from "effect"
import { TestClock } from "effect/testing"
import { claimMailboxes } from "./Claim.ts"
import { LogUnavailable, MailboxUnavailable } from "../Errors.ts"
import { EventLog } from "./EventLog.ts"
import * as EventLogMemory from "./EventLogMemory.ts"
import { clientIdUnsafe, seqUnsafe } from "../protocol/Ids.ts"
import { Mailbox } from "./Mailbox.ts"
import * as MailboxMemory from "./MailboxMemory.ts"
import { encodeResult } from "../protocol/Records.ts"
import { EventId } from "../protocol/Ids.ts"
import { Topics } from "./Topics.ts"

const c1 = clientIdUnsafe("c1")

/** A log of one partition and a store in which `c1` has what `seqs` names, one put each time that the end was read. */
const ground = (events: number, seqs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const { events: topic } = yield* Topics
    const append = Effect.orDie(log.publish(topic, 0, [{ key: c1, value: new Uint8Array([1]) }]))
    yield* Effect.repeat(append, { times: events - 1 })
    const { mailbox } = MailboxMemory.makeMemory()
    yield* mailbox.claim({ incarnation: log.incarnation, partitions: 1, ends: [0] })
    let puts = 0
    const put = Effect.suspend(() => {
      const seq = seqs[puts]
      if (seq === undefined) return Effect.void
      const value = encodeResult({ seq: seqUnsafe(seq), id: EventId.make("e"), name: "sq", data: 1 })
      const records = [{ clientId: c1, seq: seqUnsafe(seq), value, timestamp: 0 }]
      const expected = puts === 0 ? undefined : puts
      puts++
      return Effect.orDie(mailbox.put(0, { expected, next: puts, records }))
    })
    const end: typeof log.end = (topic, partition) =>
      Effect.tap(log.end(topic, partition), () => Effect.andThen(put, append))
    return { log: { ...log, end }, mailbox, puts: () => puts }
  })

const claim = (events: number, seqs: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const { log, mailbox, puts } = yield* ground(events, seqs)
    const exit = yield* Effect.result(
      Effect.provideService(Effect.provideService(claimMailboxes, EventLog, log), Mailbox, mailbox),
    )
    return { outcome: exit._tag === "Success" ? "claimed" : exit.failure._tag, puts: puts() }
  }).pipe(Effect.provide(EventLogMemory.layerMemory({ partitions: 1 }).pipe(Layer.provideMerge(Topics.layerDefault))))

describe("claimMailboxes", () => {
  it.effect("takes a store that has got what was appended after the end was read", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* claim(3, [3, 4, 5]), { outcome: "claimed", puts: 3 })
    }),
  )
  it.effect("tells the store how long all three topics together keep a record", () =>
    Effect.gen(function* () {
      const { log, mailbox } = yield* ground(1, [])
      const told: Array<number | undefined> = []
      const noting = {
        ...mailbox,
        claim: (found) => Effect.sync(() => void told.push(found.retained_ms)),
      } satisfies Mailbox["Service"]
      yield* Effect.provideService(Effect.provideService(claimMailboxes, EventLog, log), Mailbox, noting)
      assert.deepStrictEqual(told, [3 * 7_000])
    }).pipe(
      Effect.provide(
        EventLogMemory.layerMemory({ partitions: 1, retention: { retention_age_ms: 7_000 } }).pipe(
          Layer.provideMerge(Topics.layerDefault),
        ),
      ),
    ),
  )

  it.effect("asks again a log and a store that do not answer, and says so once", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const away = yield* Ref.make(3)
      const orAway = <A, E, F>(effect: Effect.Effect<A, E>, error: F): Effect.Effect<A, E | F> =>
        Effect.flatMap(
          Ref.getAndUpdate(away, (times) => times - 1),
          (times): Effect.Effect<A, E | F> => (times > 0 ? Effect.fail(error) : effect),
        )
      const { log, mailbox } = yield* ground(3, [])
      const end: typeof log.end = (topic, partition) =>
        orAway(log.end(topic, partition), new LogUnavailable({ topic, operation: "end", cause: "slow" }))
      const claim: typeof mailbox.claim = (claim) =>
        orAway(mailbox.claim(claim), new MailboxUnavailable({ operation: "claim", cause: "slow" }))
      const claiming = yield* Effect.forkChild(
        claimMailboxes.pipe(
          Effect.provideService(EventLog, { ...log, end }),
          Effect.provideService(Mailbox, { ...mailbox, claim }),
          Effect.provide(Logger.layer([logger])),
        ),
      )
      for (let second = 0; second < 5; second++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(claiming)
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/:.*|, after.*/, "")),
        ["claim mailboxes fails", "claim mailboxes works again"],
      )
    }).pipe(
      Effect.provide(EventLogMemory.layerMemory({ partitions: 1 }).pipe(Layer.provideMerge(Topics.layerDefault))),
    ),
  )
  it.effect("refuses a store with a seq that stays beyond the end", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* claim(3, [99]), { outcome: "StoreMismatch", puts: 1 })
    }),
  )
})
