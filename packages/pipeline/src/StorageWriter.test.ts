import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { ArchiveUnavailable } from "@nimbus/domain/errors"
import {
  ChatMessageId,
  encodeChat,
  type Incarnation,
  openLife,
  openRoom,
  RoomId,
  start as beginning,
} from "@nimbus/domain/protocol"
import { Archive, type ArchiveKind, ArchiveMemory, type ArchiveShape, EventLog, Topics } from "@nimbus/domain/services"
import type { StorageWriterLimits } from "./Limits.ts"
import * as Quarantine from "./Quarantine.ts"
import * as StorageWriter from "./StorageWriter.ts"
import {
  append,
  assign,
  contents,
  counts,
  eventually,
  hasRecords,
  inTestEnvironment,
  placedBarrier,
  raw,
  result,
  settle,
  start,
  text,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const quick: Partial<StorageWriterLimits> = { ...quickLimits, gather_ms: 1, lag_every_ms: 1 }

/** An archive that a test can make fail or refuse. */
const makeArchive = () => {
  const memory = ArchiveMemory.makeMemory()
  const writing: ArchiveShape["write"] = () => Effect.succeed([])
  const archive = {
    ...memory,
    writes: 0,
    writing,
    write: (batch: Parameters<ArchiveShape["write"]>[0]) =>
      Effect.suspend(() => {
        archive.writes++
        return Effect.flatMap(archive.writing(batch), (refused) => Effect.as(memory.write(batch), refused))
      }),
  }
  return archive
}

/** Notes what asks an archive for its position. */
const watch = (archive: ArchiveShape) => {
  const asked: Array<ArchiveKind> = []
  const position: ArchiveShape["position"] = (source) => {
    asked.push(source.kind)
    return archive.position(source)
  }
  return { asked, watched: { ...archive, position } }
}

const startOn = (archive: ArchiveShape, limits: Partial<StorageWriterLimits> = {}) =>
  start(StorageWriter.layerWith({ ...quick, ...limits }).pipe(Layer.provide(Layer.succeed(Archive, archive))))

const valuesOf = Effect.fnUntraced(function* (
  archive: ArchiveShape,
  key: string,
  kind: ArchiveKind = "results",
  life?: Incarnation,
) {
  const incarnation = life ?? (yield* EventLog).incarnation
  const limit = { results: 10_000, bytes: 10_000_000 }
  const page = yield* archive.page({ incarnation, kind, key, after: beginning, limit })
  return page.records.map(({ value }) => value)
})

const has = (archive: ArchiveShape, key: string, n: number, kind: ArchiveKind = "results") =>
  eventually(
    `${n} of ${key} archived`,
    Effect.map(valuesOf(archive, key, kind), (values) => values.length >= n),
  )

const textsOf = (...records: ReadonlyArray<{ readonly value: Uint8Array }>) => records.map(({ value }) => text(value))

const away = new ArchiveUnavailable({ store: "test", operation: "write", cause: "told to fail" })

describe("StorageWriter", () => {
  it.live("archives each client's results as they stand in the log, and no barriers", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        yield* append(results, result("a", 0), placedBarrier("a", 1), result("b", 2), result("a", 3))
        yield* startOn(archive)
        yield* has(archive, "a", 2)
        assert.deepStrictEqual(yield* valuesOf(archive, "a"), textsOf(result("a", 0), result("a", 3)))
        assert.deepStrictEqual(yield* valuesOf(archive, "b"), textsOf(result("b", 2)))
      }),
    ),
  )

  it.live("archives the messages of rooms, those of other services too", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { chats } = yield* Topics
        const archive = makeArchive()
        const hello = encodeChat({
          room: RoomId.make("a/b"),
          id: ChatMessageId.make("m1"),
          sender: "s1",
          data: { text: "hello" },
        })
        const before = `{"id":"m0","sender":"s1","data":"before"}`
        yield* append(chats, raw("a/b", before), hello, raw("r2", `{"temperature":21.50}`))
        yield* startOn(archive)
        yield* has(archive, "r2", 1, "messages")
        assert.deepStrictEqual(yield* valuesOf(archive, "a%2Fb", "messages"), [
          before,
          `{"id":"m1","sender":"s1","data":{"text":"hello"}}`,
        ])
        const foreign = `{"id":null,"sender":null,"data":{"temperature":21.50}}`
        assert.deepStrictEqual(yield* valuesOf(archive, "r2", "messages"), [foreign])
      }),
    ),
  )

  it.live("archives messages without a key or a room beside the rooms, and leaves out what says nothing", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { chats, quarantine } = yield* Topics
        const archive = makeArchive()
        yield* append(
          chats,
          raw("", `{"room":"r"}`),
          raw("", "1"),
          raw("r", ""),
          raw("", ""),
          raw("", "{"),
          raw("r", "2"),
        )
        yield* startOn(archive)
        yield* has(archive, "r", 1, "messages")
        assert.deepStrictEqual(yield* valuesOf(archive, "r#0", "messages"), [
          `{"id":null,"sender":null,"data":{"room":"r"}}`,
        ])
        assert.deepStrictEqual(yield* valuesOf(archive, "#0", "messages"), [`{"id":null,"sender":null,"data":1}`])
        yield* hasRecords(quarantine, 1)
        assert.deepStrictEqual(textsOf(...(yield* contents(quarantine))), ["{"])
      }),
    ),
  )

  it.live("archives the open chat apart from the rooms, whose offsets are the same numbers", () =>
    inTestEnvironment(
      {},
      Topics.layerOpen,
    )(
      Effect.gen(function* () {
        const { chats, messages = assert.fail("no topic") } = yield* Topics
        const { incarnation } = yield* EventLog
        const archive = makeArchive()
        yield* append(chats, raw(openRoom, `"in a room of the same name"`))
        yield* append(messages, raw(openRoom, `"hello"`), raw(openRoom, `{"text":"hi"}`))
        yield* startOn(archive)
        yield* has(archive, openRoom, 1, "messages")
        const rows = (...all: ReadonlyArray<string>) => all.map((data) => `{"id":null,"sender":null,"data":${data}}`)
        assert.deepStrictEqual(yield* valuesOf(archive, openRoom, "messages"), rows(`"in a room of the same name"`))
        const open = yield* valuesOf(archive, openRoom, "messages", openLife(incarnation))
        assert.deepStrictEqual(open, rows(`"hello"`, `{"text":"hi"}`))
      }),
    ),
  )

  it.live("sends no place twice in one batch: a store may refuse that, for ever", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        const batches: Array<ReadonlyArray<string>> = []
        archive.writing = ({ records }) => {
          batches.push(records.map(({ key, place }) => `${place} ${key}`))
          return Effect.succeed([])
        }
        // Not in order of seq, as the results of different clients are not.
        yield* append(results, ...[5, 3, 5, 4, 3, 9].map((seq) => result("a", seq)), result("b", 2), result("b", 5))
        yield* startOn(archive)
        yield* has(archive, "b", 2)
        assert.deepStrictEqual(batches.flat(), ["5 a", "3 a", "4 a", "9 a", "2 b", "5 b"])
      }),
    ),
  )

  it.live("takes the first of several results with one seq, also after a restart", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        const first = result("a", 5)
        const again = raw("a", `{"seq":5,"id":"e5","name":"sq","data":"again"}`)
        yield* append(results, result("a", 3), first, again, result("a", 3))
        const writer = yield* startOn(archive)
        yield* has(archive, "a", 2)
        yield* append(results, again)
        yield* writer.stop
        yield* startOn(archive)
        yield* append(results, again, result("a", 6))
        yield* has(archive, "a", 3)
        assert.deepStrictEqual(yield* valuesOf(archive, "a"), textsOf(result("a", 3), first, result("a", 6)))
      }),
    ),
  )

  it.live("tries again until the archive has it, reads no further meanwhile, and commits only then", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        archive.writing = () => Effect.fail(away)
        const partition = yield* assign(results, undefined)
        yield* append(results, result("a", 0), result("a", 1))
        yield* startOn(archive)
        yield* eventually("tried", () => archive.writes >= 3)
        assert.deepStrictEqual(partition.commits, [])
        archive.writing = () => Effect.succeed([])
        yield* has(archive, "a", 2)
        yield* eventually("committed", () => partition.commits.at(-1) === 2)
        assert.isAtLeast(Number((yield* counts)["nimbus_pipeline_failures_total archive"]), 3)
        assert.strictEqual((yield* counts)["nimbus_pipeline_records_out_total archive"], 2)
      }),
    ),
  )

  it.live("begins once an archive that does not answer at first does", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        let asked = 0
        const position: ArchiveShape["position"] = (source) =>
          ++asked <= 3 ? Effect.fail(away) : archive.position(source)
        yield* append(results, result("a", 0))
        yield* startOn({ ...archive, position })
        yield* has(archive, "a", 1)
        assert.isAbove(asked, 3)
      }),
    ),
  )

  it.live("leaves a write that does not end when it is told to stop, and makes it again the next time", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { chats, results } = yield* Topics
        const archive = makeArchive()
        archive.writing = () => Effect.never
        yield* append(results, result("a", 0))
        yield* append(chats, encodeChat({ room: RoomId.make("r1"), data: "hello" }))
        const writer = yield* startOn(archive)
        yield* eventually("tried", () => archive.writes >= 2)
        yield* Effect.timeout(writer.stop, "30 seconds")
        assert.deepStrictEqual(yield* valuesOf(archive, "a"), [])
        archive.writing = () => Effect.succeed([])
        yield* startOn(archive)
        yield* has(archive, "a", 1)
        yield* has(archive, "r1", 1, "messages")
      }),
    ),
  )

  it.live("reads on from the archive's position, whatever the group has committed", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const [archive, young] = [makeArchive(), makeArchive()]
        yield* append(results, result("a", 0), result("a", 1), result("a", 2))
        const writer = yield* startOn(archive)
        yield* has(archive, "a", 3)
        yield* writer.stop
        // Another archive, which has nothing: it gets all that the log has.
        const partition = yield* assign(results, 3)
        yield* startOn(young)
        yield* has(young, "a", 3)
        assert.deepStrictEqual(partition.positions, ["earliest"])
      }),
    ),
  )

  it.live("writes a batch again after a crash in the middle, and doubles nothing", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        const partition = yield* assign(results, undefined)
        yield* append(results, ...Array.from({ length: 50 }, (_, i) => result("a", i)))
        // The rows are there, the position is not: as after a crash between the two.
        archive.writing = ({ records, source }) =>
          archive.position(source).pipe(
            Effect.flatMap((position) =>
              ArchiveMemory.makeMemory().write({ source, records, position: position ?? 0 }),
            ),
            Effect.andThen(Effect.never),
          )
        yield* startOn(archive)
        yield* eventually("a write", () => archive.writes === 1)
        yield* partition.revoke
        archive.writing = () => Effect.succeed([])
        yield* assign(results, undefined)
        yield* has(archive, "a", 50)
        yield* settle
        assert.strictEqual((yield* valuesOf(archive, "a")).length, 50)
      }),
    ),
  )

  it.live("quarantines what it can't read and what a store can't hold, and goes on", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { chats, quarantine, results } = yield* Topics
        const archive = makeArchive()
        archive.writing = ({ records }) =>
          Effect.succeed(
            records.flatMap(({ place }, index) => (place === 7 ? [{ index, reason: "too large for the store" }] : [])),
          )
        yield* append(
          results,
          raw("a", "no record"),
          raw("a", `{"seq":1,"id":7}`),
          raw("a/b", text(result("x", 2).value)),
          raw("a", `{"seq":3,"id":"e","name":"sq","data":1,"seq":1}`),
          result("a", 7),
          result("a", 8),
        )
        yield* append(chats, raw("r", "{"), raw("r", "1"))
        yield* startOn(archive)
        yield* has(archive, "r", 1, "messages")
        const refused = yield* hasRecords(quarantine, 6)
        const reasons = refused.map(({ headers }) => headers?.[Quarantine.headers.reason] ?? "")
        const expected = [
          /no seq/,
          /Missing key|expected/i,
          /no client id/,
          /two seqs/,
          /too large for the store/,
          /JSON/,
        ]
        for (const pattern of expected)
          assert.isTrue(
            reasons.some((reason) => pattern.test(reason)),
            String(pattern),
          )
        assert.strictEqual(refused.length, expected.length)
        assert.include(yield* valuesOf(archive, "a"), text(result("a", 8).value))
      }),
    ),
  )

  it.live("refuses to start on an archive that has more than the log", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { incarnation } = yield* EventLog
        const archive = makeArchive()
        yield* archive.write({ source: { incarnation, kind: "results", partition: 0 }, records: [], position: 9 })
        const exit = yield* Effect.exit(startOn(archive))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) assert.propertyVal(Cause.squash(exit.cause), "code", "ARCHIVE_MISMATCH")
      }),
    ),
  )

  it.live("counts records that the log lost before they were archived, and goes on with what is left", () =>
    inTestEnvironment({ retention: { retention_bytes: 1 } })(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const log = yield* EventLog
        const archive = makeArchive()
        for (let seq = 0; seq < 4; seq++) yield* append(results, result("a", seq))
        yield* eventually(
          "retention",
          Effect.map(log.earliest(results, 0), (earliest) => earliest > 0),
        )
        yield* startOn(archive)
        yield* has(archive, "a", 1)
        assert.strictEqual((yield* counts)["nimbus_archive_holes_total "], 1)
      }),
    ),
  )

  it.live("leaves the archive alone, where it is lazy, until there is something new", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const archive = makeArchive()
        const { asked, watched } = watch(archive)
        yield* append(results, result("a", 0))
        yield* assign(results, 1)
        yield* startOn(watched, { lazy: true })
        yield* settle
        assert.deepStrictEqual(asked, [])
        yield* append(results, result("a", 1))
        yield* has(archive, "a", 2)
        assert.deepStrictEqual(asked, ["results"])
      }),
    ),
  )

  it.live("leaves the archive alone, where it is lazy, when it is told to stop before there was something new", () =>
    inTestEnvironment()(
      Effect.gen(function* () {
        const { results } = yield* Topics
        const { asked, watched } = watch(makeArchive())
        yield* append(results, result("a", 0))
        const partition = yield* assign(results, 1)
        const writer = yield* startOn(watched, { lazy: true })
        yield* eventually("it waits for something new", () => partition.positions.length > 0)
        yield* writer.stop
        assert.deepStrictEqual(asked, [])
      }),
    ),
  )
})
