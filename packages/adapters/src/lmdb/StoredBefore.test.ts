/** Mailboxes as earlier versions have written them, to the byte: they open, and what is in them is delivered. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import { deliversStoredBefore } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import * as LmdbMailbox from "./Mailbox.ts"
import { LmdbStore } from "./Store.ts"

const cut = (table: Readonly<Record<string, string>>, bytes: number): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(table).map(([key, value]) => [key, value.slice(0, 2 * bytes)]))

/** The tables, each with its keys and values. */
const stored = {
  "mailbox-log": {
    "6c6f67": "7b22666f726d6174223a312c22696e6361726e6174696f6e223a226c6f672d31222c22706172746974696f6e73223a317d",
  },
  "mailbox-partitions": { "0000": "000000000000224000000000000000400000000000002640000000000000f0bf" },
  "mailbox-clients": {
    "00006331":
      "0000000000000840000000000000f0bf0000000000001c4000000000000008400000000000003b400000000000588f4000000000000008400000000000806140000000000000f0bf00006406ca227a42",
    "00006332":
      "000000000000f0bf00000000000010400000000000002640000000000000104000000000000043400000000000608f4000000000000010400000000000606240000000000000f0bf00306206ca227a42",
  },
  "mailbox-blocks": {
    "00006331000000000000000003":
      "00000000000008400000000000588f400400000000000000000000000900000009000000020000000200000009000000260000000300000003000000090000002f000000040000000400000009000000380000007b22736571223a337d7b22736571223a357d7b227472616365706172656e74223a22c3bc227d7b22736571223a367d7b22736571223a377d",
    "00006332000000000000000004":
      "00000000000010400000000000608f400500000000000000000000000900000009000000040000000400000009000000120000000500000005000000090000001b00000006000000060000000a0000002500000007000000070000000a0000002f0000007b22736571223a347d7b22736571223a387d7b22736571223a397d7b22736571223a31307d7b22736571223a31317d",
  },
} as const

/** Before anything was forgotten: rows had no such columns. */
const older = {
  ...stored,
  "mailbox-partitions": cut(stored["mailbox-partitions"], 24),
  "mailbox-clients": cut(stored["mailbox-clients"], 64),
}

const write = Effect.fnUntraced(function* (tables: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const store = yield* LmdbStore
  for (const [name, entries] of Object.entries(tables)) {
    const table = yield* store.table(name)
    yield* store.commit(() => {
      for (const [key, value] of Object.entries(entries)) table.put(Buffer.from(key, "hex"), Buffer.from(value, "hex"))
    })
  }
})

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-before-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

const storeIn = Layer.unwrap(Effect.map(temporaryDirectory, (directory) => LmdbStore.layerWith({ directory })))

describe("mailboxes that an earlier version has written on LMDB", () => {
  it.effect.each([
    ["with all that rows have now", stored],
    ["with rows of before clients were forgotten", older],
  ] as const)("are delivered, and take more: %s", ([, tables]) =>
    Effect.gen(function* () {
      yield* write(tables)
      yield* Effect.provide(deliversStoredBefore, LmdbMailbox.layerWith({}))
    }).pipe(Effect.provide(storeIn)),
  )
})
