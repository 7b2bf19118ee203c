/**
 * The conformance suite of mailbox stores: one test for each sentence of the contract in `Mailbox.ts`, and then random
 * commands, in sequence compared with the model of `MailboxModel.ts`, and concurrently explained by `MailboxRace.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, type Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type ClientId, Cursor, Incarnation, Seq, start } from "../protocol/Ids.ts"
import { type MailboxLimits, mailboxLimits } from "../Limits.ts"
import { Mailbox, type MailboxRecord } from "../services/Mailbox.ts"
import * as Model from "./MailboxModel.ts"
import { clientIn, log, record } from "./MailboxModel.ts"
import * as Race from "./MailboxRace.ts"

/** How much the suite tests. */
export interface MailboxSuiteOptions {
  /** The number of random sequences of commands. Each uses a new store. */
  readonly runs: number
  /** The clock by which the store knows what is idle. Default: Effect's clock, which the suite advances. */
  readonly time?: MailboxTime
}

/** The clock of a store. */
export interface MailboxTime {
  readonly idle_ms: number
  /** Lets time pass. */
  readonly pass: Effect.Effect<void>
  readonly now: Effect.Effect<number>
}

const days_ms = 24 * 60 * 60 * 1000
const virtual: MailboxTime = {
  idle_ms: 30 * days_ms,
  pass: TestClock.adjust(10 * days_ms),
  now: Clock.currentTimeMillis,
}

/** For a store that forgets by its own clock, which a test can't advance. */
export const ownClock: MailboxTime = {
  idle_ms: 2_000,
  pass: Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 20))),
  now: Effect.sync(() => Date.now()),
}

/** Registers the suite. `makeLayer` returns a layer that gives an empty store each time it is built. */
export const mailboxSuite = (
  name: string,
  makeLayer: (limits: MailboxLimits) => Layer.Layer<Mailbox, unknown>,
  options: MailboxSuiteOptions = { runs: 200 },
): void => {
  const test = <E>(
    sentence: string,
    body: (mailbox: Claimed) => Effect.Effect<void, E>,
    limits?: Partial<MailboxLimits>,
  ) =>
    it.effect(sentence, () =>
      Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.claim(log)
        yield* body(claimedWith(mailbox))
      }).pipe(Effect.provide(makeLayer({ ...mailboxLimits, ...limits }))),
    )

  describe(name, () => {
    describe("put", () => putSentences(test))
    describe("page", () => pageSentences(test))
    describe("ack", () => ackSentences(test))
    describe("limits", () => limitSentences(test))
    describe("hole and waiting", () => lossSentences(test))
    describe("claim", () => claimSentences(test))
    // Concurrently: with a clock of the store, each test waits for it.
    describe.concurrent("what is idle", () => idleSentences(test, options.time ?? virtual))
    it.effect.prop(
      "answers any commands as the model does",
      { limits: Model.Limits, commands: Model.Commands },
      ({ commands, limits }) =>
        Effect.flatMap(Mailbox, (mailbox) => Model.compare(mailbox, limits, commands)).pipe(
          Effect.provide(makeLayer(limits)),
        ),
      { arbitrary: { runs: options.runs, size: 60 }, timeout: 120_000 },
    )
    it.effect.prop(
      "gives callers at once answers, and is left in a state, that some order explains",
      { limits: Model.Limits, callers: Schema.Tuple([fewCalls, fewCalls, fewCalls]) },
      ({ callers, limits }) =>
        Effect.flatMap(Mailbox, (mailbox) => Race.isExplained(mailbox, limits, callers)).pipe(
          Effect.map((isExplained) => assert.isTrue(isExplained)),
          Effect.provide(makeLayer(limits)),
        ),
      { arbitrary: { runs: options.runs }, timeout: 120_000 },
    )
  })
}

type Test = <E>(
  sentence: string,
  body: (mailbox: Claimed) => Effect.Effect<void, E>,
  limits?: Partial<MailboxLimits>,
) => void

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const fewCalls = Schema.Array(Race.Call).check(Schema.isMaxLength(5))
const c0 = clientIn(0)
const c1 = clientIn(1)
const everything = { results: 100_000, bytes: 100_000_000 }
const seqsOf = (records: ReadonlyArray<{ readonly seq: Seq }>) => records.map(({ seq }) => Number(seq))
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
const records = (clientId: ClientId, ...seqs: ReadonlyArray<number>) => seqs.map((seq) => record(clientId, seq))

type Claimed = ReturnType<typeof claimedWith>

/** The service, with shorthands for what most tests do. */
const claimedWith = (mailbox: Mailbox["Service"]) => ({
  ...mailbox,
  /** Puts at the stored offset, with one offset for each record. */
  store: Effect.fnUntraced(function* (partition: number, records: ReadonlyArray<MailboxRecord>, hole?: number) {
    const expected = yield* mailbox.offset(partition)
    const next = (expected ?? 0) + records.length
    const put = { expected, next, records, hole: hole === undefined ? undefined : Seq.make(hole) }
    assert.deepStrictEqual(yield* mailbox.put(partition, put), { _tag: "Stored" })
  }),
  all: (clientId: ClientId, after = -1) => mailbox.page(clientId, Cursor.make(after), everything),
  ackOne: (clientId: ClientId, seq: number) => mailbox.ack([{ clientId, seq: Cursor.make(seq) }]),
  isWaiting: (clientId: ClientId, after: number) =>
    Effect.map(mailbox.waiting([{ clientId, after: Cursor.make(after) }]), ([answer]) => answer),
})

const putSentences = (test: Test) => {
  test("stores no offset until the first put, and then the next one of each partition", (mailbox) =>
    Effect.gen(function* () {
      assert.isUndefined(yield* mailbox.offset(0))
      yield* mailbox.put(0, { expected: undefined, next: 7, records: [] })
      yield* mailbox.put(1, { expected: undefined, next: 3, records: [] })
      assert.strictEqual(yield* mailbox.offset(0), 7)
      assert.strictEqual(yield* mailbox.offset(1), 3)
      assert.isUndefined(yield* mailbox.offset(2))
    }))

  test("puts nothing where the stored offset differs, and answers it", (mailbox) =>
    Effect.gen(function* () {
      const put = { next: 9, records: records(c0, 1), hole: Seq.make(5) }
      assert.deepStrictEqual(yield* mailbox.put(0, { ...put, expected: 4 }), { _tag: "Differs", stored: undefined })
      yield* mailbox.put(0, { expected: undefined, next: 4, records: [] })
      assert.deepStrictEqual(yield* mailbox.put(0, { ...put, expected: undefined }), { _tag: "Differs", stored: 4 })
      assert.deepStrictEqual(yield* mailbox.put(0, { ...put, expected: 3 }), { _tag: "Differs", stored: 4 })
      assert.strictEqual(yield* mailbox.offset(0), 4)
      const page = yield* mailbox.all(c0)
      assert.deepStrictEqual(page, { records: [], short: true, acked: start, floor: start, hole: start })
    }))

  test("lets only one of two puts at the same offset through", (mailbox) =>
    Effect.gen(function* () {
      const put = (seq: number) => mailbox.put(0, { expected: undefined, next: seq, records: records(c0, seq) })
      const outcomes = yield* Effect.all([put(1), put(2)], { concurrency: "unbounded" })
      assert.sameMembers(
        outcomes.map(({ _tag }) => _tag),
        ["Stored", "Differs"],
      )
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [(yield* mailbox.offset(0)) ?? -1])
    }))

  test("takes records in any order of seq and gives them in order", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 9, 3, 7))
      yield* mailbox.store(0, records(c0, 5, 11, 1))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [1, 3, 5, 7, 9, 11])
    }))

  test("of records put with one seq keeps the first, within a chunk and later, at the end and before it", (mailbox) =>
    Effect.gen(function* () {
      const first = record(c0, 2, { value: encoder.encode("first"), headers: { "nimbus-journey": "first" } })
      const again = record(c0, 2, { value: encoder.encode("another, which is longer") })
      const last = record(c0, 4, { value: encoder.encode("last") })
      yield* mailbox.store(0, [first, again, last])
      yield* mailbox.store(0, [record(c0, 4, { value: encoder.encode("newer") })])
      yield* mailbox.store(0, [record(c0, 1), again, record(c0, 4)])
      yield* mailbox.store(0, [record(c0, 6), again, record(c0, 6, { value: encoder.encode("newer") })])
      const page = yield* mailbox.all(c0)
      assert.deepStrictEqual(seqsOf(page.records), [1, 2, 4, 6])
      assert.deepStrictEqual(
        page.records.map(({ value }) => decoder.decode(value)),
        [record(c0, 1), first, last, record(c0, 6)].map(({ value }) => decoder.decode(value)),
      )
      assert.deepStrictEqual(page.records[1]?.headers, first.headers)
      const bytes = page.records.reduce((sum, { value }) => sum + value.length, 0)
      assert.deepInclude(yield* mailbox.stats(c0), { results: 4, bytes })
    }))

  test("puts nothing at or below acked", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.ackOne(c0, 5)
      yield* mailbox.store(0, records(c0, 4, 5, 6))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [6])
    }))

  test("keeps clients apart, also those of one partition", (mailbox) =>
    Effect.gen(function* () {
      const other = clientIn(0, 1)
      yield* mailbox.store(0, [record(c0, 0), record(other, 1), record(c0, 2)])
      yield* mailbox.store(1, records(c1, 0))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [0, 2])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(other)).records), [1])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c1)).records), [0])
    }))

  test("gives back bytes and headers as they came, small and large", (mailbox) =>
    Effect.gen(function* () {
      const large = new Uint8Array(300_000).map((_, i) => (i * 31) % 251)
      yield* mailbox.store(0, [
        record(c0, 1, { value: new Uint8Array(0) }),
        record(c0, 2, { value: large, headers: { "nimbus-journey": "[…]", other: "ü" } }),
        record(c0, 3),
      ])
      const page = yield* mailbox.all(c0)
      assert.deepStrictEqual(
        page.records.map(({ value }) => Array.from(value)),
        [[], Array.from(large), Array.from(record(c0, 3).value)],
      )
      assert.deepStrictEqual(
        page.records.map(({ headers }) => headers ?? {}),
        [{}, { "nimbus-journey": "[…]", other: "ü" }, {}],
      )
    }))

  test("takes a whole chunk for one client, and chunks for many", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, ...range(0, 4_095)))
      yield* mailbox.store(
        0,
        range(4_096, 4_195).map((seq) => record(clientIn(0, 1 + (seq % 50)), seq)),
      )
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), range(0, 4_095))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(clientIn(0, 1))).records), [4_100, 4_150])
    }))
}

const pageSentences = (test: Test) => {
  test("is empty and short for a client nobody has heard of", (mailbox) =>
    Effect.gen(function* () {
      const page = yield* mailbox.all(c0)
      assert.deepStrictEqual(page, { records: [], short: true, acked: start, floor: start, hole: start })
    }))

  test("has the lowest records above `after`", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 2, 4, 6))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0, 1)).records), [2, 4, 6])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0, 2)).records), [4, 6])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0, 5)).records), [6])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0, 6)).records), [])
    }))

  test("has no more than the limit, but at least one", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(
        0,
        [1, 2, 3, 4].map((seq) => record(c0, seq, { value: new Uint8Array(10) })),
      )
      const page = (results: number, bytes: number) =>
        Effect.map(mailbox.page(c0, start, { results, bytes }), ({ records }) => records.length)
      assert.strictEqual(yield* page(3, 1_000), 3)
      assert.strictEqual(yield* page(9, 30), 3)
      assert.strictEqual(yield* page(9, 29), 2)
      assert.strictEqual(yield* page(9, 1), 1)
    }))

  test("is short only when nothing is left above its last", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 1, 2, 3))
      const isShort = (after: number, results: number) =>
        Effect.map(mailbox.page(c0, Cursor.make(after), { results, bytes: 1_000 }), ({ short }) => short)
      assert.isFalse(yield* isShort(-1, 2))
      assert.isTrue(yield* isShort(-1, 3))
      assert.isTrue(yield* isShort(1, 2))
      assert.isTrue(yield* isShort(3, 2))
    }))

  test("gives each record once, page after page", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, ...range(0, 999)))
      const seqs: Array<number> = []
      for (let after = start, short = false; !short;) {
        const page = yield* mailbox.page(c0, after, { results: 7, bytes: 100 })
        seqs.push(...seqsOf(page.records))
        after = page.records.at(-1)!.seq
        short = page.short
      }
      assert.deepStrictEqual(seqs, range(0, 999))
    }))

  test(
    "is read at one moment while others put and limits remove",
    (mailbox) =>
      Effect.gen(function* () {
        const puts = Effect.forEach(range(0, 199), (i) => mailbox.store(0, records(c0, ...range(i * 3, i * 3 + 2))))
        const looks = Effect.forEach(range(0, 199), () =>
          Effect.gen(function* () {
            const { floor, records } = yield* mailbox.all(c0)
            const seqs = seqsOf(records)
            assert.deepStrictEqual(seqs, range(floor + 1, floor + seqs.length))
            yield* Effect.yieldNow
          }),
        )
        yield* Effect.all([puts, looks], { concurrency: 2 })
        assert.strictEqual((yield* mailbox.stats(c0)).floor, 599 - 20)
      }),
    { mailbox_results: 20 },
  )
}

const ackSentences = (test: Test) => {
  test("trims everything up to it, and pages tell it", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 1, 3, 5))
      yield* mailbox.ackOne(c0, 3)
      const page = yield* mailbox.all(c0)
      assert.deepStrictEqual(seqsOf(page.records), [5])
      assert.strictEqual(page.acked, 3)
      const { value } = record(c0, 5)
      assert.deepStrictEqual(yield* mailbox.stats(c0), {
        results: 1,
        bytes: value.length,
        acked: Seq.make(3),
        floor: start,
      })
    }))

  test("only rises", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.ackOne(c0, 5)
      yield* mailbox.ackOne(c0, 2)
      assert.strictEqual((yield* mailbox.stats(c0)).acked, 5)
    }))

  test("comes in batches, for clients known and unknown, in any order", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 1, 2, 3))
      yield* mailbox.ack([
        { clientId: c0, seq: Cursor.make(2) },
        { clientId: c1, seq: Cursor.make(8) },
        { clientId: c0, seq: Cursor.make(1) },
      ])
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [3])
      assert.strictEqual((yield* mailbox.all(c1)).acked, 8)
    }))

  test("may lie between seqs, and beyond them all", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 10, 20, 30))
      yield* mailbox.ackOne(c0, 25)
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [30])
      yield* mailbox.ackOne(c0, 99)
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [])
      yield* mailbox.store(0, records(c0, 99, 100))
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [100])
    }))
}

const limitSentences = (test: Test) => {
  test(
    "of count remove the oldest, and floor rises to the last that went",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, records(c0, 1, 3, 5, 7, 9))
        const page = yield* mailbox.all(c0)
        assert.deepStrictEqual(seqsOf(page.records), [5, 7, 9])
        assert.strictEqual(page.floor, 3)
      }),
    { mailbox_results: 3 },
  )

  test(
    "of bytes remove the oldest, also when that leaves nothing",
    (mailbox) =>
      Effect.gen(function* () {
        const sized = (seq: number, bytes: number) => record(c0, seq, { value: new Uint8Array(bytes) })
        yield* mailbox.store(0, [sized(1, 60), sized(2, 30), sized(3, 20)])
        assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [2, 3])
        yield* mailbox.store(0, [sized(4, 101)])
        const page = yield* mailbox.all(c0)
        assert.deepStrictEqual(page.records, [])
        assert.strictEqual(page.floor, 4)
      }),
    { mailbox_bytes: 100 },
  )

  test(
    "of age remove the oldest when asked, none behind one that is younger, and tell how many",
    (mailbox) =>
      Effect.gen(function* () {
        const dated = (seq: number, timestamp: number) => record(c0, seq, { timestamp })
        yield* mailbox.store(0, [dated(1, 1_000), dated(2, 1_010), dated(3, 1_500), dated(4, 1_001)])
        yield* mailbox.store(1, [record(c1, 1, { timestamp: 1_009 })])
        assert.strictEqual(yield* mailbox.expire(1_100), 0)
        assert.strictEqual(yield* mailbox.expire(1_111), 3)
        const page = yield* mailbox.all(c0)
        assert.deepStrictEqual(seqsOf(page.records), [3, 4])
        assert.strictEqual(page.floor, 2)
        assert.strictEqual((yield* mailbox.stats(c1)).floor, 1)
      }),
    { mailbox_age_ms: 100 },
  )

  test(
    "never let anything at or below floor in again",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, records(c0, 1, 2))
        assert.strictEqual(yield* mailbox.expire(1_000), 2)
        yield* mailbox.store(0, records(c0, 1, 2, 3))
        const page = yield* mailbox.all(c0)
        assert.deepStrictEqual(seqsOf(page.records), [3])
        assert.strictEqual(page.floor, 2)
      }),
    { mailbox_age_ms: 100 },
  )

  test(
    "do not count what is acknowledged",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, records(c0, 1, 2, 3))
        yield* mailbox.ackOne(c0, 2)
        yield* mailbox.store(0, records(c0, 4, 5))
        const page = yield* mailbox.all(c0)
        assert.deepStrictEqual(seqsOf(page.records), [3, 4, 5])
        assert.strictEqual(page.floor, start)
      }),
    { mailbox_results: 3 },
  )
}

const lossSentences = (test: Test) => {
  test("a hole is told to every client of its partition, and only rises", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 40), 30)
      yield* mailbox.store(0, [], 20)
      assert.strictEqual((yield* mailbox.all(c0)).hole, 30)
      assert.strictEqual((yield* mailbox.all(clientIn(0, 7))).hole, 30)
      assert.strictEqual((yield* mailbox.all(c1)).hole, start)
    }))

  test("nothing waits where nothing is, or where all of it is acknowledged or below `after`", (mailbox) =>
    Effect.gen(function* () {
      assert.isFalse(yield* mailbox.isWaiting(c0, -1))
      yield* mailbox.store(0, records(c0, 5))
      assert.isTrue(yield* mailbox.isWaiting(c0, 4))
      assert.isFalse(yield* mailbox.isWaiting(c0, 5))
      yield* mailbox.ackOne(c0, 5)
      assert.isFalse(yield* mailbox.isWaiting(c0, -1))
    }))

  test(
    "a loss by the limits waits for whoever is below floor",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, [record(c0, 5, { value: new Uint8Array(11) })])
        assert.isTrue(yield* mailbox.isWaiting(c0, 4))
        assert.isFalse(yield* mailbox.isWaiting(c0, 5))
      }),
    { mailbox_bytes: 10 },
  )

  test("a hole waits for whoever has not got to it", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, [], 8)
      assert.isTrue(yield* mailbox.isWaiting(c0, 6))
      assert.isFalse(yield* mailbox.isWaiting(c0, 7))
      assert.isFalse(yield* mailbox.isWaiting(c1, -1))
    }))

  test("waiting answers in the order asked", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(1, records(c1, 3))
      const asked = [c0, c1, c0, c1].map((clientId, i) => ({ clientId, after: Cursor.make(i) }))
      assert.deepStrictEqual(yield* mailbox.waiting(asked), [false, true, false, false])
    }))
}

const idleSentences = (test: Test, time: MailboxTime) => {
  const limits = { mailbox_idle_ms: time.idle_ms, mailbox_age_ms: 1_000_000 * days_ms }
  const youngest = { ...limits, mailbox_age_ms: 0 }
  const expire = (mailbox: Claimed) => Effect.flatMap(time.now, mailbox.expire)
  const isKnown = (mailbox: Claimed, clientId: ClientId) =>
    Effect.map(mailbox.stats(clientId), ({ acked, floor, results }) => acked > start || floor > start || results > 0)
  /** Lets time pass until a client is forgotten. */
  const untilForgotten = Effect.fnUntraced(function* (
    mailbox: Claimed,
    clientId: ClientId,
    meanwhile: Effect.Effect<unknown, unknown> = Effect.void,
  ) {
    for (let passes = 0; yield* isKnown(mailbox, clientId); passes++) {
      assert.isBelow(passes, 10_000, "it is never forgotten")
      yield* meanwhile
      yield* time.pass
      yield* expire(mailbox)
    }
  })

  test(
    "is forgotten: a mailbox with nothing in it; and one with a record is not",
    (mailbox) =>
      Effect.gen(function* () {
        const other = clientIn(0, 1)
        yield* mailbox.store(0, [record(c0, 5), record(other, 6), record(other, 7)])
        yield* mailbox.ackOne(c0, 5)
        yield* mailbox.ackOne(other, 6)
        assert.isTrue(yield* isKnown(mailbox, c0))
        yield* untilForgotten(mailbox, c0)
        assert.deepStrictEqual(yield* mailbox.all(c0), {
          records: [],
          short: true,
          acked: start,
          floor: start,
          hole: start,
        })
        const page = yield* mailbox.all(other)
        assert.deepStrictEqual(seqsOf(page.records), [7])
        assert.strictEqual(page.acked, 6)
      }),
    limits,
  )

  test(
    "is forgotten once more, when it was emptied long after it was filled, or came to be again",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, records(c0, 5))
        yield* mailbox.ackOne(clientIn(0, 1), 1)
        yield* untilForgotten(mailbox, clientIn(0, 1))
        yield* mailbox.ackOne(c0, 5)
        assert.isTrue(yield* isKnown(mailbox, c0))
        yield* untilForgotten(mailbox, c0)
        yield* mailbox.store(0, records(c0, 8))
        assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [8])
        yield* mailbox.ackOne(c0, 8)
        yield* untilForgotten(mailbox, c0)
      }),
    limits,
  )

  test(
    "is not as long as the topics keep what may be put again",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.claim({ ...log, retained_ms: Infinity })
        yield* mailbox.ackOne(c0, 4)
        yield* mailbox.store(0, records(c0, 4))
        const until_ms = (yield* time.now) + 2 * time.idle_ms
        while ((yield* time.now) < until_ms) yield* Effect.andThen(time.pass, expire(mailbox))
        yield* mailbox.store(0, records(c0, 3))
        assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [])
        yield* mailbox.claim(log)
        yield* mailbox.ackOne(c0, 5)
        yield* untilForgotten(mailbox, c0)
      }),
    limits,
  )

  test(
    "is not whose client is here",
    (mailbox) =>
      Effect.gen(function* () {
        const gone = clientIn(0, 1)
        yield* mailbox.ack([c0, gone].map((clientId) => ({ clientId, seq: Cursor.make(4) })))
        // A put also writes acks that a store has only in memory.
        yield* mailbox.store(0, [...records(c0, 4), ...records(gone, 4)])
        // A read from outside, as of an operator, does not renew the time.
        const isHere = mailbox.waiting([{ clientId: c0, after: Cursor.make(4) }], true)
        yield* untilForgotten(mailbox, gone, Effect.andThen(mailbox.isWaiting(gone, 4), isHere))
        assert.strictEqual((yield* mailbox.stats(c0)).acked, 4)
      }),
    limits,
  )

  test(
    "with a loss: whoever says that it has been here, and is further back, is told that something may be missing",
    (mailbox) =>
      Effect.gen(function* () {
        const holeOf = (clientId: ClientId, after: number) =>
          Effect.map(mailbox.all(clientId, after), ({ hole }) => hole)
        yield* mailbox.store(0, records(c0, 3, 5))
        yield* time.pass
        yield* expire(mailbox)
        assert.strictEqual((yield* mailbox.stats(c0)).floor, 5)
        yield* untilForgotten(mailbox, c0)
        assert.strictEqual(yield* holeOf(c0, 3), 6)
        // A new client, and one of another partition.
        assert.strictEqual(yield* holeOf(c0, -1), start)
        assert.strictEqual(yield* holeOf(c1, 3), start)
        // Its socket died before it had read this. The loss is sent again, although there is a mailbox now.
        yield* mailbox.store(0, records(c0, 9))
        assert.strictEqual(yield* holeOf(c0, 3), 6)
        yield* mailbox.ackOne(c0, 4)
        assert.strictEqual(yield* holeOf(c0, -1), 6)
        // A late record is no loss of a client that is new with it.
        const late = clientIn(0, 1)
        yield* mailbox.store(0, records(late, 4))
        assert.isAtMost(yield* holeOf(late, 4), 5)
      }),
    youngest,
  )

  test(
    "with a loss that was acknowledged: nothing is told",
    (mailbox) =>
      Effect.gen(function* () {
        yield* mailbox.store(0, records(c0, 3))
        yield* time.pass
        yield* expire(mailbox)
        assert.strictEqual((yield* mailbox.stats(c0)).floor, 3)
        yield* mailbox.ackOne(c0, 3)
        yield* untilForgotten(mailbox, c0)
        assert.strictEqual((yield* mailbox.all(c0, 1)).hole, start)
      }),
    youngest,
  )
}

const claimSentences = (test: Test) => {
  const refusal = (mailbox: Claimed, found: Partial<typeof log>) =>
    mailbox.claim({ ...log, ...found }).pipe(
      Effect.flip,
      Effect.filterOrFail(
        Schema.is(Schema.TaggedStruct("StoreMismatch", { code: Schema.String, reason: Schema.String })),
      ),
      Effect.map(({ code, reason }) => [code, reason]),
    )

  test("holds again for the same log", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(0, records(c0, 5))
      yield* mailbox.claim(log)
      yield* mailbox.claim({ ...log, ends: [6, 0, 0] })
      assert.deepStrictEqual(seqsOf((yield* mailbox.all(c0)).records), [5])
    }))

  test("refuses another incarnation, though nothing was put yet", (mailbox) =>
    Effect.gen(function* () {
      const incarnation = Incarnation.make("log-2")
      assert.deepStrictEqual(yield* refusal(mailbox, { incarnation }), ["STORE_MISMATCH", "incarnation"])
    }))

  test("refuses another partition count", (mailbox) =>
    Effect.gen(function* () {
      const found = { partitions: 4, ends: [9, 9, 9, 9] }
      assert.deepStrictEqual(yield* refusal(mailbox, found), ["STORE_MISMATCH", "partitions"])
    }))

  test("refuses a log that ends at or before a stored record", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.store(1, records(c1, 5))
      assert.deepStrictEqual(yield* refusal(mailbox, { ends: [9, 5, 9] }), ["STORE_MISMATCH", "beyond-end"])
      yield* mailbox.claim({ ...log, ends: [0, 6, 0] })
    }))

  test("refuses a log that ends at or before an ack", (mailbox) =>
    Effect.gen(function* () {
      yield* mailbox.ackOne(c1, 5)
      assert.deepStrictEqual(yield* refusal(mailbox, { ends: [9, 5, 9] }), ["STORE_MISMATCH", "beyond-end"])
    }))
}
