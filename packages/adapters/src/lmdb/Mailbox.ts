/**
 * The mailboxes on LMDB: the `Mailbox` of a single process.
 *
 * ```
 *   put ────────────────────────────▶ one transaction: compare the offset, put, trim, advance
 *   ack ──▶ acks ──(within 50 ms)───▶ one transaction: trim
 *   page, waiting, stats ◀────────── the tables as of one moment, and `acks`
 * ```
 *
 * 1. The tables have the whole state. Memory has only the acks that are not written yet, so it can't differ from what a
 *    failed or interrupted commit has left.
 * 2. A put also writes the acks of its clients. A crash may lose the trimming of an ack. A client without memory may
 *    then see a repeat.
 */
import type { StoreMismatch } from "@nimbus/domain/errors"
import { type MailboxLimits, mailboxLimits } from "@nimbus/domain/limits"
import { type Cursor, seqUnsafe, start } from "@nimbus/domain/protocol"
import { Idle, Mailbox, MailboxRules, type MailboxStats, MailboxStorage, type PageLimit } from "@nimbus/domain/services"
import { Clock, Effect, Layer, type Scope } from "effect"
import type { StorageUnavailable } from "../Errors.ts"
import { type MailboxStorageLimits, mailboxStorageLimits, seen_share } from "../Limits.ts"
import { type MailboxAcks, makeAcks } from "./MailboxAcks.ts"
import { Block } from "./MailboxBlock.ts"
import {
  addressOf,
  beyond,
  blockKey,
  type ClientRow,
  decodeClient,
  type MailboxTables,
  newClient,
  openTables,
  readClient,
  readLog,
  readPartition,
  writeLog,
} from "./MailboxTables.ts"
import { isIdle, tally, writeChunk, writeExpiry, writeForget, writeSeen, type Writes } from "./MailboxWrites.ts"
import { LmdbStore } from "./Store.ts"

type Address = MailboxStorage.Address
const { later } = MailboxRules

/** The bounds of the mailboxes that differ from the defaults. */
export interface MailboxOptions {
  readonly limits?: MailboxLimits
  readonly storage?: MailboxStorageLimits
}

/** The mailboxes in the environment of `LmdbStore`. */
export const layerWith = (options: MailboxOptions): Layer.Layer<Mailbox, StorageUnavailable, LmdbStore> =>
  Layer.effect(Mailbox, make(options))

/** With the time of `NIMBUS_IDLE_DAYS`. */
export const layer = Layer.unwrap(
  Effect.map(Idle.config, (mailbox_idle_ms) => layerWith({ limits: { ...mailboxLimits, mailbox_idle_ms } })),
)

const make = Effect.fn("LmdbMailbox.make")(function* ({
  limits = mailboxLimits,
  storage = mailboxStorageLimits,
}: MailboxOptions): Effect.fn.Return<Mailbox["Service"], StorageUnavailable, LmdbStore | Scope.Scope> {
  const store = yield* LmdbStore
  const tables = yield* openTables(store)
  const clock = yield* Clock.Clock
  const writes = { tables, limits, storage, now: () => clock.currentTimeMillisUnsafe() }
  const acks = yield* makeAcks(store, writes)
  const driver: MailboxStorage.MailboxDriver<StorageUnavailable> = {
    claim: Effect.fnUntraced(function* (log) {
      yield* acks.flush
      const mismatch = yield* store.commit(() => claim(tables, log))
      if (mismatch !== undefined) return yield* mismatch
    }),
    offset: (partition) => store.read(() => readPartition(tables, partition).offset),
    put: (partition, put) => {
      const clients = MailboxRules.byClient(put.records)
      return store.commit(() => writeChunk(writes, partition, put, clients, acks.of))
    },
    page: (at, after, limit) => store.read(() => page(tables, at, acks.of(at.clientId), after, limit)),
    ack: acks.add,
    states: (asked, areHere, { keep_ms }) =>
      Effect.suspend(() => {
        const seen_ms = writes.now() - keep_ms * seen_share
        const aging: Array<Address> = []
        const holes: Array<Cursor> = []
        const holeOf = (partition: number) => (holes[partition] ??= readPartition(tables, partition).hole)
        return store
          .read(() =>
            asked.map((at) => {
              const row = readClient(tables, at)
              if (areHere && row !== undefined && isIdle(row, seen_ms)) aging.push(at)
              return stateOf(row ?? newClient(), acks.of(at.clientId), holeOf(at.partition))
            }),
          )
          .pipe(Effect.tap(() => (aging.length === 0 ? Effect.void : store.commit(() => writeSeen(writes, aging)))))
      }),
    expire: (before) => expire(store, writes, acks, before),
    stats: (at) => store.read(() => stats(tables, at, acks.of(at.clientId))),
  }
  return MailboxStorage.make(driver, limits)
})

/** Binds the store to a log if it is not bound yet. */
const claim = (tables: MailboxTables, log: MailboxRules.ClaimingLog): StoreMismatch | undefined => {
  const { incarnation, partitions } = log
  const bound = readLog(tables)
  if (bound === undefined) return void writeLog(tables, { format: 1, incarnation, partitions })
  for (let partition = 0; partition < partitions; partition++) {
    const { highest } = readPartition(tables, partition)
    const mismatch = MailboxRules.mismatchOf(log, { ...bound, partition, highest })
    if (mismatch !== undefined) return mismatch
  }
  return undefined
}

const stateOf = (row: ClientRow, ack: Cursor, hole: Cursor): MailboxRules.MailboxState => ({
  acked: later(row.acked, ack),
  floor: row.floor,
  last: row.last,
  hole,
  unknown: row.unknown,
})

const page = (tables: MailboxTables, at: Address, ack: Cursor, after: Cursor, limit: PageLimit) => {
  const { forgotten, hole } = readPartition(tables, at.partition)
  const state = stateOf(readClient(tables, at) ?? newClient(forgotten), ack, hole)
  const cursor = later(after, later(state.acked, state.floor))
  return { state, records: state.last > cursor ? recordsAbove(tables, at, cursor, limit) : [] }
}

const recordsAbove = (tables: MailboxTables, at: Address, cursor: Cursor, limit: PageLimit) => {
  const { fits, records } = MailboxRules.makeFiller(limit)
  for (const { value } of tables.blocks.range({ start: keyAround(tables, at, cursor), end: blockKey(at, beyond) })) {
    const block = new Block(value)
    for (let i = block.firstAbove(cursor); i < block.count; i++) {
      if (!fits(block.lengthAt(i))) return records
      records.push(block.itemAt(i))
    }
  }
  return records
}

/** The key of the block that `cursor` falls into. */
const keyAround = (tables: MailboxTables, at: Address, cursor: Cursor): Uint8Array => {
  const before = { start: blockKey(at, later(cursor, seqUnsafe(0))), end: blockKey(at, start), reverse: true, limit: 1 }
  for (const key of tables.blocks.keys(before)) return key
  return blockKey(at, start)
}

const stats = (tables: MailboxTables, at: Address, ack: Cursor): MailboxStats => {
  const row = readClient(tables, at) ?? newClient()
  const acked = later(row.acked, ack)
  const trimmed = tally(tables, at, later(row.acked, row.floor), acked)
  return { results: row.results - trimmed.results, bytes: row.bytes - trimmed.bytes, acked, floor: row.floor }
}

/** Checks every row, a bounded number at a time. */
const expire = Effect.fnUntraced(function* (
  store: LmdbStore["Service"],
  writes: Writes,
  acks: MailboxAcks,
  before: MailboxStorage.Before,
) {
  let removed = 0
  let forgotten = 0
  let from: Uint8Array | undefined = Buffer.of(0)
  while (from !== undefined) {
    const start: Uint8Array = from
    const { due, idle, next } = yield* store.read(() => someDue(writes, start, before))
    if (due.length > 0) {
      removed += yield* store.commit(() =>
        due.reduce((sum, at) => sum + writeExpiry(writes, withAck(at, acks), before.age_ms), 0),
      )
    }
    if (idle.length > 0) {
      forgotten += yield* store.commit(() =>
        idle.reduce((sum, at) => sum + writeForget(writes, withAck(at, acks), before.idle_ms), 0),
      )
    }
    from = next
    yield* Effect.yieldNow
  }
  return { removed, forgotten }
})

const withAck = (at: Address, acks: MailboxAcks): MailboxStorage.MailboxAck => ({ ...at, seq: acks.of(at.clientId) })

/**
 * The clients that may have records from before a time, those that may be forgotten, and the key from which to
 * continue.
 */
const someDue = ({ storage, tables }: Writes, start: Uint8Array, { age_ms, idle_ms }: MailboxStorage.Before) => {
  const due: Array<Address> = []
  const idle: Array<Address> = []
  let seen = 0
  let next: Uint8Array | undefined
  for (const { key, value } of tables.clients.range({
    start,
    end: Buffer.of(0xff, 0xff),
    limit: storage.step_clients + 1,
  })) {
    if (seen++ === storage.step_clients) {
      next = key
      continue
    }
    const row = decodeClient(value)
    if (row.oldest_ms < age_ms) due.push(addressOf(key))
    else if (isIdle(row, idle_ms)) idle.push(addressOf(key))
  }
  return { due, idle, next }
}
