import { assert, describe, it } from "@effect/vitest"
import type { MailboxLimits } from "@nimbus/domain/limits"
import { ClientId, Cursor, Incarnation, Seq, start } from "@nimbus/domain/protocol"
import { Mailbox } from "@nimbus/domain/services"
import { deliversStoredBefore, mailboxSuite, ownClock as time } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { startServices } from "../../../../scripts/services/Services.ts"
import { type RedisMailboxLimits, redisMailboxLimits } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import * as RedisMailbox from "./Mailbox.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")

/** A database of this file's own, for its tests empty it. */
const db = 3

let stores = 0
const freshPrefix = () => `mailbox-${stores++}`
const storeIn = (prefix: string, limits: MailboxLimits, storage: RedisMailboxLimits) =>
  RedisMailbox.layerWith({ limits, storage }).pipe(
    Layer.provide(RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), db, prefix })),
  )

const single = (storage: RedisMailboxLimits) => (limits: MailboxLimits) =>
  Layer.unwrap(Effect.sync(() => storeIn(freshPrefix(), limits, storage)))

/** Calls go by two connections in turn, as those of two processes do. */
const spread = (limits: MailboxLimits) =>
  Layer.effect(
    Mailbox,
    Effect.gen(function* () {
      const prefix = freshPrefix()
      const mailboxes = yield* Effect.forEach([1, 2], () =>
        Effect.flatMap(Layer.build(Layer.fresh(storeIn(prefix, limits, redisMailboxLimits))), (context) =>
          Effect.provide(Mailbox, context),
        ),
      )
      let calls = 0
      const next = () => mailboxes[calls++ % mailboxes.length]!
      return Mailbox.of({
        claim: (log) => Effect.forEach(mailboxes, (mailbox) => mailbox.claim(log), { discard: true }),
        offset: (...args) => Effect.suspend(() => next().offset(...args)),
        put: (...args) => Effect.suspend(() => next().put(...args)),
        page: (...args) => Effect.suspend(() => next().page(...args)),
        ack: (...args) => Effect.suspend(() => next().ack(...args)),
        waiting: (...args) => Effect.suspend(() => next().waiting(...args)),
        expire: (...args) => Effect.suspend(() => next().expire(...args)),
        stats: (...args) => Effect.suspend(() => next().stats(...args)),
      })
    }),
  )

const client = ClientId.make("c1")
const log = { incarnation: Incarnation.make("log-1"), partitions: 1, ends: [1e9] }
const everything = { results: 1e6, bytes: 1e9 }
const records = (from: number, to: number, bytes = 10) =>
  Array.from({ length: to - from }, (_, i) => ({
    clientId: client,
    seq: Seq.make(from + i),
    value: new Uint8Array(bytes),
    timestamp: from + i,
  }))

/** The boxes of two clients, as an earlier version has written them. */
const storedBefore = {
  c1: {
    block:
      "0000000000001c400000000000588f40040000002400000000000000000008400000000000588f4009000000000000007b22736571223a337d00000000000014400000000000688f4009000000140000007b22736571223a357d7b227472616365706172656e74223a22c3bc227d00000000000018400000000000708f4009000000000000007b22736571223a367d0000000000001c400000000000788f4009000000000000007b22736571223a377d",
    row: "0000000000000840000000000000f0bf0000000000001c40000000000000104000000000000042400000000000000000000000000000f03f0000000000006640",
  },
  c2: {
    block:
      "00000000000026400000000000608f40050000002f00000000000000000010400000000000608f4009000000000000007b22736571223a347d00000000000020400000000000808f4009000000000000007b22736571223a387d00000000000022400000000000888f4009000000000000007b22736571223a397d00000000000024400000000000908f400a000000000000007b22736571223a31307d00000000000026400000000000988f400a000000000000007b22736571223a31317d",
    row: "000000000000f0bf00000000000010400000000000002640000000000000144000000000008047400000000000000000000000000000f03f0000000000e06740",
  },
} as const

describe.skipIf(redis === undefined)("RedisMailbox", () => {
  mailboxSuite("in Redis", single(redisMailboxLimits), { runs: 40, time })
  mailboxSuite("in Redis, in tiny blocks", single({ block_bytes: 150, merge_bytes: 80, step_clients: 1 }), {
    runs: 150,
    time,
  })
  mailboxSuite("in Redis, by racing connections", spread, { runs: 60, time })

  it.live("puts records that come one by one together in blocks, and reads a page of many blocks", () =>
    Effect.gen(function* () {
      const prefix = freshPrefix()
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        yield* mailbox.claim(log)
        for (let i = 0; i < 300; i++) {
          yield* mailbox.put(0, { expected: i === 0 ? undefined : i, next: i + 1, records: records(i, i + 1, 100) })
        }
        const redis = yield* RedisConnection
        const fields = yield* redis.command("hlen", [`{${prefix}:p0}:box:${client}`], (reply) => reply)
        // 300 records of 124 bytes in blocks that have reached their size but for the last, and the row.
        assert.isAtMost(Number(fields), Math.floor((300 * 124) / redisMailboxLimits.merge_bytes) + 2)
        const page = yield* mailbox.page(client, start, everything)
        assert.deepStrictEqual(
          page.records.map(({ seq }) => Number(seq)),
          Array.from({ length: 300 }, (_, i) => i),
        )
      }).pipe(
        Effect.provide(RedisMailbox.layer),
        Effect.provide(RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), db, prefix })),
      )
    }),
  )

  it.live("delivers what an earlier version has stored, to the byte, and takes more", () =>
    Effect.gen(function* () {
      const prefix = freshPrefix()
      yield* Effect.gen(function* () {
        const redis = yield* RedisConnection
        const hset = (key: string, fields: ReadonlyArray<string | Buffer>) =>
          redis.command("hset", [`{${prefix}:p0}:${key}`, ...fields], () => {})
        yield* hset(
          "offset",
          ["incarnation", "log-1", "partitions", 1, "highest", 11, "hole", 2, "offset", 9].map(String),
        )
        for (const [id, { block, row }] of Object.entries(storedBefore)) {
          yield* hset(`box:${id}`, ["0", Buffer.from(block, "hex"), "row", Buffer.from(row, "hex")])
        }
        yield* redis.command("zadd", [`{${prefix}:p0}:ages`, 1003, "c1", 1004, "c2"], () => {})

        yield* deliversStoredBefore
      }).pipe(
        Effect.provide(RedisMailbox.layer),
        Effect.provide(RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), db, prefix })),
      )
    }),
  )

  it.live("of a store that was emptied refuses the next put, and is bound again by what comes after", () =>
    Effect.gen(function* () {
      const settings = { ...settingsOf(redis?.address ?? ""), db, prefix: freshPrefix() }
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        const connection = yield* RedisConnection
        const wipe = connection.command("flushdb", [], () => {})
        yield* mailbox.claim(log)
        yield* mailbox.put(0, { expected: undefined, next: 5, records: records(0, 5) })
        yield* wipe
        const late = yield* mailbox.put(0, { expected: 5, next: 9, records: records(5, 9) })
        assert.deepStrictEqual(late, { _tag: "Differs", stored: undefined })
        const other = { ...log, incarnation: Incarnation.make("log-2") }
        for (const bind of [
          mailbox.put(0, { expected: undefined, next: 5, records: [] }),
          mailbox.ack([{ clientId: client, seq: Cursor.make(3) }]),
        ]) {
          yield* wipe
          yield* bind
          assert.propertyVal(yield* Effect.flip(mailbox.claim(other)), "code", "STORE_MISMATCH")
        }
      }).pipe(Effect.provide(RedisMailbox.layer), Effect.provide(RedisConnection.layerWith(settings)))
    }),
  )

  it.live("in a full Redis fails puts as a whole, and lets acks make room", () =>
    Effect.gen(function* () {
      const services = yield* Effect.acquireRelease(
        Effect.promise(() => startServices(["redis"])),
        (services) => Effect.promise(() => services.stop()),
      )
      yield* Effect.gen(function* () {
        const mailbox = yield* Mailbox
        const connection = yield* RedisConnection
        yield* mailbox.claim(log)
        yield* mailbox.put(0, { expected: undefined, next: 1, records: records(0, 100, 10_000) })
        const limit = (bytes: number) => connection.command("config", ["set", "maxmemory", bytes], () => {})
        yield* limit(1_500_000)
        const refused = yield* Effect.flip(mailbox.put(0, { expected: 1, next: 2, records: records(100, 101) }))
        assert.propertyVal(refused, "code", "MAILBOX_UNAVAILABLE")
        assert.strictEqual(yield* mailbox.offset(0), 1)
        assert.strictEqual((yield* mailbox.stats(client)).results, 100)

        yield* mailbox.ack([{ clientId: client, seq: Cursor.make(98) }])
        yield* limit(3_000_000)
        assert.deepStrictEqual(yield* mailbox.put(0, { expected: 1, next: 2, records: records(100, 101) }), {
          _tag: "Stored",
        })
        const page = yield* mailbox.page(client, start, everything)
        assert.deepStrictEqual(
          page.records.map(({ seq }) => Number(seq)),
          [99, 100],
        )
      }).pipe(
        Effect.provide(RedisMailbox.layer),
        Effect.provide(RedisConnection.layerWith(settingsOf(services.get("redis").address))),
      )
    }),
  )
})
