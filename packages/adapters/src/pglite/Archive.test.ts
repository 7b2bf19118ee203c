import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Cursor, Incarnation } from "@nimbus/domain/protocol"
import { Archive } from "@nimbus/domain/services"
import { archiveSuite, eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { pgliteLimits } from "../Limits.ts"
import * as PgliteArchive from "./Archive.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-pglite-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

/** Tests wait for it. */
const quick = { inBackground: false }

const source = { incarnation: Incarnation.make("log-1"), kind: "results", partition: 0 } as const
const question = { ...source, key: "c", after: Cursor.make(-1), limit: { results: 1_000, bytes: 1_000_000 } }

/** Made once, and copied for those that are not about how it is made: that takes seconds. */
const made = mkdtempSync(join(tmpdir(), "nimbus-pglite-"))
const copy = Effect.tap(directory, (directory) => Effect.sync(() => cpSync(made, directory, { recursive: true })))

const onNew = Layer.unwrap(Effect.map(directory, (directory) => PgliteArchive.layerWith(directory, quick)))
const onCopy = Layer.unwrap(Effect.map(copy, (directory) => PgliteArchive.layerWith(directory, quick)))

beforeAll(
  () =>
    Effect.runPromise(
      Effect.flatMap(Archive, (archive) => archive.position(source)).pipe(
        Effect.provide(PgliteArchive.layerWith(made, quick)),
      ),
    ),
  120_000,
)
afterAll(() => rmSync(made, { recursive: true, force: true }))

describe("PgliteArchive", () => {
  archiveSuite("on PGlite", onCopy)

  it.live(
    "has what was written before when it is opened again",
    () =>
      Effect.gen(function* () {
        const at = PgliteArchive.layerWith(yield* copy, quick)
        const records = [{ key: "c", place: 1, timestamp: 2, value: "3" }]
        yield* Effect.flatMap(Archive, (archive) => archive.write({ source, records, position: 2 })).pipe(
          Effect.provide(Layer.fresh(at)),
        )
        const page = yield* Effect.flatMap(Archive, (archive) => archive.page(question)).pipe(
          Effect.provide(Layer.fresh(at)),
        )
        assert.deepStrictEqual(page.records, [{ place: 1, timestamp: 2, value: "3" }])
      }),
    120_000,
  )

  it.live(
    "goes on opening when whoever asked gives up",
    () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        // A query that is given up may end its connection on a busy machine: who asks again gets another.
        const impatient = Effect.timeoutOption(archive.position(source), "20 millis").pipe(
          Effect.catchTag("ArchiveUnavailable", () => Effect.succeedNone),
        )
        yield* impatient.pipe(Effect.repeat({ until: Option.isSome }), Effect.timeout("100 seconds"))
      }).pipe(Effect.provide(onNew)),
    120_000,
  )

  it.effect(
    "answers who reads within page_timeout_ms, whether it has opened or not",
    () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        const asking = yield* Effect.forkChild(Effect.flip(archive.page(question)), { startImmediately: true })
        yield* TestClock.adjust(pgliteLimits.page_timeout_ms - 1)
        assert.isUndefined(asking.pollUnsafe())
        yield* TestClock.adjust(1)
        const { code, operation } = yield* Fiber.join(asking)
        assert.deepStrictEqual({ code, operation }, { code: "ARCHIVE_UNAVAILABLE", operation: "page" })
      }).pipe(Effect.provide(onNew)),
    60_000,
  )

  it.live(
    "finishes a write that was given up, and whoever gave it up does not wait for it",
    () =>
      Effect.gen(function* () {
        const archive = yield* Archive
        assert.isUndefined(yield* archive.position(source))
        const records = Array.from({ length: 2_000 }, (_, place) => ({ key: "c", place, timestamp: 0, value: "1" }))
        const writing = yield* Effect.forkChild(archive.write({ source, records, position: 2_000 }), {
          startImmediately: true,
        })
        yield* Effect.timeout(Fiber.interrupt(writing), "1 second")
        yield* eventually(
          "written",
          Effect.map(archive.position(source), (position) => position === 2_000),
        )
      }).pipe(Effect.provide(onCopy)),
    120_000,
  )

  it.live("says what is wrong where it can't be opened, and tries again the next time", () =>
    Effect.gen(function* () {
      const archive = yield* Archive
      for (const _ of [1, 2]) {
        const error = yield* Effect.flip(archive.position(source))
        assert.strictEqual(error.code, "ARCHIVE_UNAVAILABLE")
        assert.propertyVal(error.cause, "code", "PGLITE_UNAVAILABLE")
      }
    }).pipe(Effect.provide(PgliteArchive.layerWith("/dev/null/nowhere"))),
  )
})
