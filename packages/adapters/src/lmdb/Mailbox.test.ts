import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, describe, it } from "@effect/vitest"
import { ClientId, Cursor, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Mailbox, type MailboxRecord } from "@nimbus/domain/services"
import { mailboxSuite } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { mailboxStorageLimits } from "../Limits.ts"
import * as LmdbMailbox from "./Mailbox.ts"
import { openTables, readClient } from "./MailboxTables.ts"
import { LmdbStore } from "./Store.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nimbus-mailbox-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true })),
)

const layerIn = (directory: string, options: LmdbMailbox.MailboxOptions = {}) =>
  LmdbMailbox.layerWith(options).pipe(Layer.provideMerge(LmdbStore.layerWith({ directory })))

const layerTemporary = (options: LmdbMailbox.MailboxOptions) =>
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => layerIn(directory, options)))

mailboxSuite("Mailbox on LMDB", (limits) => layerTemporary({ limits }), { runs: 50 })

/** So small that every mailbox has many blocks, and nearly every step crosses some. */
const tiny = { ...mailboxStorageLimits, block_bytes: 150, merge_bytes: 80, waiting_acks: 1, step_clients: 1 }
mailboxSuite("Mailbox on LMDB in tiny blocks", (limits) => layerTemporary({ limits, storage: tiny }), { runs: 150 })

const log = { incarnation: Incarnation.make("log-1"), partitions: 1, ends: [1e9] }
const client = ClientId.make("c1")
const everything = { results: 1e6, bytes: 1e9 }
const record = (clientId: ClientId, seq: number): MailboxRecord => ({
  clientId,
  seq: Seq.make(seq),
  value: Buffer.from(`{"seq":${seq}}`),
  timestamp: seq,
})
const ack = (seq: number) => [{ clientId: client, seq: Cursor.make(seq) }]

describe("MailboxAcks", () => {
  /** What the tables have, whatever is still in memory. */
  const storedAck = Effect.gen(function* () {
    const store = yield* LmdbStore
    const tables = yield* openTables(store)
    // A commit, so that it comes after those that were asked for before.
    return yield* store.commit(() => readClient(tables, { clientId: client, partition: 0 })?.acked ?? start)
  })
  const claimed = Effect.tap(Mailbox, (mailbox) => mailbox.claim(log))

  it.effect("are written within 50 ms", () =>
    Effect.gen(function* () {
      const mailbox = yield* claimed
      yield* mailbox.ack(ack(7))
      assert.strictEqual(yield* storedAck, start)
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* storedAck, 7)
      yield* mailbox.ack(ack(9))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* storedAck, 9)
    }).pipe(Effect.provide(layerTemporary({}))),
  )

  it.effect("are not forgotten when they come while an older one is being written", () =>
    Effect.gen(function* () {
      const mailbox = yield* claimed
      yield* mailbox.ack(ack(7))
      yield* TestClock.adjust("50 millis")
      yield* mailbox.ack(ack(9))
      assert.strictEqual(yield* storedAck, 7)
      assert.strictEqual((yield* mailbox.stats(client)).acked, 9)
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* storedAck, 9)
    }).pipe(Effect.provide(layerTemporary({}))),
  )

  it.effect("are written with the next put to the client", () =>
    Effect.gen(function* () {
      const mailbox = yield* claimed
      yield* mailbox.ack(ack(7))
      yield* mailbox.put(0, { expected: undefined, next: 1, records: [record(client, 8)] })
      assert.strictEqual(yield* storedAck, 7)
    }).pipe(Effect.provide(layerTemporary({}))),
  )

  it.effect("are written when the scope closes, and trim", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const reopened = <A, E>(use: (mailbox: Mailbox["Service"]) => Effect.Effect<A, E>) =>
        Effect.flatMap(claimed, use).pipe(Effect.provide(layerIn(directory), { local: true }))
      yield* reopened((mailbox) =>
        Effect.andThen(
          mailbox.put(0, { expected: undefined, next: 3, records: [1, 2, 3].map((seq) => record(client, seq)) }),
          mailbox.ack(ack(2)),
        ),
      )
      const page = yield* reopened((mailbox) => mailbox.page(client, start, everything))
      assert.strictEqual(page.acked, 2)
      assert.deepStrictEqual(
        page.records.map(({ seq }) => seq),
        [record(client, 3).seq],
      )
    }),
  )
})

describe("Mailbox on LMDB after kill -9", () => {
  it.live(
    "has every put that was acknowledged, and the offset that goes with them",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        for (const puts of [3, 25, 60]) {
          const acknowledged = yield* killAfter(directory, puts)
          const found = yield* Effect.provide(stored, layerIn(directory), { local: true })
          assert.isAtLeast(found.offset, acknowledged)
          assert.deepStrictEqual(
            found.seqs,
            Array.from({ length: found.offset }, (_, seq) => seq),
          )
        }
      }),
    180_000,
  )

  const clients = Array.from({ length: 7 }, (_, i) => ClientId.make(`c${i}`))

  const stored = Effect.gen(function* () {
    const mailbox = yield* Mailbox
    yield* mailbox.claim(log)
    const pages = yield* Effect.forEach(clients, (clientId) => mailbox.page(clientId, start, everything))
    const seqs = pages.flatMap(({ records }) => records.map(({ seq }) => Number(seq))).sort((a, b) => a - b)
    return { offset: (yield* mailbox.offset(0)) ?? 0, seqs }
  })
})

/** Puts on from the stored offset without end, seqs like offsets, and says each offset once its put has succeeded. */
const putter = `
  import { Effect, Layer } from "effect"
  import { Incarnation } from "@nimbus/domain/protocol"
  import { Mailbox } from "@nimbus/domain/services"
  import { layer } from ${JSON.stringify(new URL("./Mailbox.ts", import.meta.url).href)}
  import { LmdbStore } from ${JSON.stringify(new URL("./Store.ts", import.meta.url).href)}
  const [, directory] = process.argv
  const run = Effect.gen(function* () {
    const mailbox = yield* Mailbox
    yield* mailbox.claim({ incarnation: Incarnation.make("log-1"), partitions: 1, ends: [1e9] })
    for (let size = 1; ; size = (size * 7) % 101) {
      const expected = yield* mailbox.offset(0)
      const from = expected ?? 0
      const records = Array.from({ length: size }, (_, i) =>
        ({ clientId: "c" + (from + i) % 7, seq: from + i, value: Buffer.from(String(from + i)), timestamp: 0 }))
      yield* mailbox.put(0, { expected, next: from + size, records })
      process.stdout.write(from + size + "\\n")
    }
  })
  Effect.runFork(run.pipe(Effect.provide(layer), Effect.provide(LmdbStore.layerWith({ directory }))))
`

/** Runs the putter, kills it after so many puts, and answers the last offset that it said. */
const killAfter = (directory: string, puts: number) =>
  Effect.callback<number>((resume) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", putter, directory], {
      cwd: import.meta.dirname,
      stdio: ["ignore", "pipe", "inherit"],
    })
    let acknowledged = -1
    let left = puts
    createInterface({ input: child.stdout }).on("line", (line) => {
      acknowledged = Number(line)
      if (--left === 0) child.kill("SIGKILL")
    })
    child.once("close", (_, signal) => {
      if (signal === "SIGKILL") resume(Effect.succeed(acknowledged))
      else resume(Effect.die(new Error("the child ended by itself")))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })
