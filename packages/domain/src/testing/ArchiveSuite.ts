/**
 * The conformance suite of `Archive`: one row for each record even if it is written again, pages without gaps, and
 * positions that only grow. The store may be shared: each test uses its own incarnations.
 */
import { assert } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Archive, type ArchiveKind, type ArchiveRecord } from "../services/Archive.ts"
import { archiveKeyOf } from "../services/ChatArchive.ts"
import { Cursor, Incarnation, RoomId, start } from "../protocol/Ids.ts"
import { conformance } from "./Conformance.ts"

const fresh = Effect.sync(() => Incarnation.make(`suite-${crypto.randomUUID()}`))

const record = (key: string, place: number, value = `{"seq":${place},"data":"of ${key}"}`): ArchiveRecord => ({
  key,
  place,
  timestamp: 1_790_000_000_000 + place,
  value,
})

const all = { results: 1_000, bytes: 1024 * 1024 }

/** All entries of a key, read in pages of this size. */
const readAll = Effect.fnUntraced(function* (
  incarnation: Incarnation,
  key: string,
  kind: ArchiveKind = "results",
  results = 7,
) {
  const archive = yield* Archive
  const records: Array<Omit<ArchiveRecord, "key">> = []
  let after = start
  for (;;) {
    const page = yield* archive.page({ incarnation, kind, key, after, limit: { ...all, results } })
    records.push(...page.records)
    const last = page.records.at(-1)
    if (!page.more || last === undefined) return records
    after = Cursor.make(last.place)
  }
})

const withoutKey = ({ place, timestamp, value }: ArchiveRecord) => ({ place, timestamp, value })

/** The contract of `Archive` as tests: call it in a test file with the layer to be tested. */
export const archiveSuite = <E>(name: string, archive: Layer.Layer<Archive, E>) =>
  conformance(`Archive: ${name}`, archive, (it) => {
    it.effect("gives the records of a key in order of place, page by page, and none of another key", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "results", partition: 0 } as const
        const records = Array.from({ length: 100 }, (_, i) => record(`c${i % 3}`, i * 5))
        yield* archive.write({ source, records, position: 100 })
        for (const key of ["c0", "c1", "c2"]) {
          const own = records.filter((one) => one.key === key).map(withoutKey)
          assert.deepStrictEqual(yield* readAll(incarnation, key), own)
        }
        assert.deepStrictEqual(yield* readAll(incarnation, "c"), [])
      }),
    )

    it.effect("keeps every room apart, by the key that it has: any text, of any length that a room may have", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "messages", partition: 0 } as const
        const short = [
          "a b",
          "a/b",
          "a%2Fb",
          "a%20b",
          "a",
          "a#0",
          "Küche",
          "Ku\u0308che",
          "😀",
          "\0",
          "\0\n",
          "__proto__",
          ".",
        ]
        const long = ["x".repeat(256), "\u0085".repeat(256), "\uffff".repeat(256), "😀".repeat(128)]
        const rooms = [...short, ...long].map((room) => RoomId.make(room))
        const keys = rooms.flatMap((room) => [archiveKeyOf(room), archiveKeyOf(room, 999_999)])
        const all = [...keys, archiveKeyOf(undefined, 0)]
        const records = all.map((key, i) => record(key, 7, `{"id":null,"sender":null,"data":${i}}`))
        assert.deepStrictEqual(yield* archive.write({ source, records, position: 8 }), [])
        for (const [i, key] of all.entries()) {
          const [one, ...others] = yield* readAll(incarnation, key, "messages")
          assert.deepStrictEqual([one?.value, others], [`{"id":null,"sender":null,"data":${i}}`, []], key)
        }
      }),
    )

    it.effect("keeps the first of what is written at one place, whatever comes later and among what", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "results", partition: 0 } as const
        const [first, later] = ["first", "later"].map(
          (name) => (place: number) => record("c", place, `{"seq":${place},"data":"${name}"}`),
        )
        const write = (records: ReadonlyArray<ArchiveRecord | undefined>, position: number) =>
          archive.write({ source, records: records.filter((one) => one !== undefined), position })
        yield* write([first?.(1), first?.(4)], 5)
        const many = Array.from({ length: 60 }, (_, i) => (i === 4 || i === 1 ? later?.(i) : first?.(i)))
        assert.deepStrictEqual(yield* write(many, 60), [])
        yield* write([later?.(59), later?.(4), first?.(60)], 61)
        assert.deepStrictEqual(
          (yield* readAll(incarnation, "c")).map(({ value }) => value),
          Array.from({ length: 61 }, (_, i) => first?.(i).value),
        )
      }),
    )

    it.effect("starts above `after`, and says whether more is stored", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "messages", partition: 0 } as const
        yield* archive.write({ source, records: [0, 3, 9].map((place) => record("r", place)), position: 10 })
        const ask = (after: number, results: number) =>
          Effect.map(
            archive.page({
              incarnation,
              kind: "messages",
              key: "r",
              after: Cursor.make(after),
              limit: { ...all, results },
            }),
            ({ more, records }) => ({ more, places: records.map(({ place }) => place) }),
          )
        assert.deepStrictEqual(yield* ask(-1, 2), { more: true, places: [0, 3] })
        assert.deepStrictEqual(yield* ask(0, 2), { more: false, places: [3, 9] })
        assert.deepStrictEqual(yield* ask(4, 9), { more: false, places: [9] })
        assert.deepStrictEqual(yield* ask(9, 9), { more: false, places: [] })
      }),
    )

    it.effect("bounds a page in bytes too, and lets one record through", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "results", partition: 0 } as const
        const records = Array.from({ length: 5 }, (_, i) => record("c", i, JSON.stringify("x".repeat(998))))
        yield* archive.write({ source, records, position: 5 })
        for (const [bytes, length] of [
          [1, 1],
          [2_500, 2],
          [5_000, 5],
        ] as const) {
          const question = { incarnation, kind: "results", key: "c", after: start } as const
          const page = yield* archive.page({ ...question, limit: { results: 100, bytes } })
          assert.strictEqual(page.records.length, length)
          assert.strictEqual(page.more, length < 5)
        }
      }),
    )

    it.effect("a batch written again, also in part or by two at once, is the same as once", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = { incarnation, kind: "results", partition: 1 } as const
        const records = Array.from({ length: 60 }, (_, i) => record("c", i))
        const write = (from: number, to: number) =>
          archive.write({ source, records: records.slice(from, to), position: to })
        yield* Effect.all([write(0, 40), write(0, 40), write(20, 60)], { concurrency: "unbounded" })
        yield* write(0, 60)
        assert.deepStrictEqual(yield* readAll(incarnation, "c"), records.map(withoutKey))
        assert.strictEqual(yield* archive.position(source), 60)
      }),
    )

    it.effect("keeps incarnations and kinds apart, also at the same key and place", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const [before, now] = [yield* fresh, yield* fresh]
        const write = (incarnation: Incarnation, kind: ArchiveKind, value: string) =>
          archive.write({
            source: { incarnation, kind, partition: 0 },
            records: [record("k", 0, value)],
            position: 1,
          })
        yield* write(before, "results", `"before"`)
        yield* write(now, "results", `"now"`)
        yield* write(now, "messages", `"said now"`)
        const valuesOf = (incarnation: Incarnation, kind: ArchiveKind) =>
          Effect.map(readAll(incarnation, "k", kind), (records) => records.map(({ value }) => value))
        assert.deepStrictEqual(yield* valuesOf(before, "results"), [`"before"`])
        assert.deepStrictEqual(yield* valuesOf(now, "results"), [`"now"`])
        assert.deepStrictEqual(yield* valuesOf(before, "messages"), [])
        assert.deepStrictEqual(yield* valuesOf(now, "messages"), [`"said now"`])
      }),
    )

    it.effect("has a position for each partition of each topic, which never falls", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const source = (kind: ArchiveKind, partition: number) => ({ incarnation, kind, partition })
        assert.isUndefined(yield* archive.position(source("results", 0)))
        yield* archive.write({ source: source("results", 0), records: [], position: 0 })
        assert.strictEqual(yield* archive.position(source("results", 0)), 0)
        yield* archive.write({ source: source("results", 0), records: [record("c", 3)], position: 7 })
        yield* archive.write({ source: source("results", 0), records: [record("c", 1)], position: 4 })
        assert.strictEqual(yield* archive.position(source("results", 0)), 7)
        assert.isUndefined(yield* archive.position(source("results", 1)))
        assert.isUndefined(yield* archive.position(source("messages", 0)))
      }),
    )

    it.effect("keeps the text of a value to the letter", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const values = [
          `{ "a" : 1.0,"a":2, "b":"\\u0000 \\ud800" }`,
          `"é 漢 😀 '\\" \\\\ $1 {a,b}"`,
          `null`,
          `12345678901234567890.5`,
          JSON.stringify("long ".repeat(20_000)),
        ]
        const records = values.map((value, i) => record("c", 2 ** 40 + i, value))
        yield* archive.write({ source: { incarnation, kind: "results", partition: 0 }, records, position: 1 })
        assert.deepStrictEqual(yield* readAll(incarnation, "c", "results", 100), records.map(withoutKey))
      }),
    )

    it.effect("takes a large batch with many keys", () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const incarnation = yield* fresh
        const records = Array.from({ length: 2_000 }, (_, i) => record(`c${i % 50}`, i))
        yield* archive.write({ source: { incarnation, kind: "results", partition: 0 }, records, position: 2_000 })
        const own = records.filter(({ key }) => key === "c49").map(withoutKey)
        assert.deepStrictEqual(yield* readAll(incarnation, "c49"), own)
      }),
    )
  })
