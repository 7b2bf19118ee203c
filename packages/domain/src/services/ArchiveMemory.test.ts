import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Archive, archiveInAll } from "./Archive.ts"
import * as ArchiveMemory from "./ArchiveMemory.ts"
import { ArchiveUnavailable } from "../Errors.ts"
import { Incarnation, start } from "../protocol/Ids.ts"
import { archiveSuite } from "../testing/ArchiveSuite.ts"

archiveSuite("in memory", ArchiveMemory.layerMemory())
archiveSuite(
  "in two at once",
  Layer.sync(Archive, () => archiveInAll([ArchiveMemory.makeMemory(), ArchiveMemory.makeMemory()])),
)

const source = { incarnation: Incarnation.make("log-1"), kind: "results", partition: 0 } as const
const batch = { source, records: [{ key: "c", place: 0, timestamp: 1, value: "1" }], position: 1 }
const question = { ...source, key: "c", after: start, limit: { results: 9, bytes: 99 } }

describe("archiveInAll", () => {
  it.effect(
    "is done when every store has it: a new one has it read all again, and one that is away fails the write",
    () =>
      Effect.gen(function* () {
        const [old, young] = [ArchiveMemory.makeMemory(), ArchiveMemory.makeMemory()]
        yield* old.write(batch)
        const both = archiveInAll([old, young])
        assert.isUndefined(yield* both.position(source))
        yield* both.write(batch)
        assert.strictEqual(yield* both.position(source), 1)
        assert.strictEqual((yield* young.page(question)).records.length, 1)
        const away = { ...young, write: () => Effect.fail(unavailable), page: () => Effect.fail(unavailable) }
        const half = archiveInAll([away, old])
        assert.strictEqual((yield* Effect.flip(half.write(batch))).code, "ARCHIVE_UNAVAILABLE")
        assert.strictEqual((yield* half.page(question)).records.length, 1)
      }),
  )
})

const unavailable = new ArchiveUnavailable({ store: "test", operation: "write", cause: "told to fail" })
