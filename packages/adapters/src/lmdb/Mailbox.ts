/**
 * The mailboxes on LMDB: the `Mailbox` of a single process.
 *
 * ```
 *   put ────────────────────────────▶ one transaction: compare the offset, put, trim, advance
 *   ack ──▶ acks ──(within 50 ms)───▶ one transaction: trim
 *   page, waiting, stats ◀────────── the tables as of one moment, and `acks`
 * ```
 *
 * 1. The tables are the truth; all that is kept beside them are acks not written yet. So memory can't differ from what
 *    a failed or interrupted commit has left.
 * 2. A put takes the acks of its clients with it. What a crash may lose of an ack is the trimming: a client without
 *    memory of its own may then see a repeat.
 */
import { MailboxUnavailable, StoreMismatch } from "@nimbus/domain/errors"
import { type MailboxLimits, mailboxLimits } from "@nimbus/domain/limits"
import {
  type ClientId,
  type Cursor,
  type Incarnation,
  type Item,
  partitionOf,
  seqUnsafe,
  start,
} from "@nimbus/domain/protocol"
import {
  countForgotten,
  holeFrom,
  Idle,
  Mailbox,
  type MailboxRecord,
  type MailboxStats,
  type Page,
  type PageLimit,
  type Put,
} from "@nimbus/domain/services"
import { Clock, Effect, Layer, type Scope } from "effect"
import type { StorageUnavailable } from "../Errors.ts"
import { type MailboxStorageLimits, mailboxStorageLimits, seen_share } from "../Limits.ts"
import { type MailboxAcks, makeAcks } from "./MailboxAcks.ts"
import { Block } from "./MailboxBlock.ts"
import {
  type Address,
  addressOf,
  beyond,
  blockKey,
  type ClientRow,
  decodeClient,
  later,
  type MailboxTables,
  newClient,
  openTables,
  readClient,
  readLog,
  readPartition,
  writeLog,
} from "./MailboxTables.ts"
import {
  type Chunk,
  type ClientAck,
  isIdle,
  tally,
  writeChunk,
  writeExpiry,
  writeForget,
  writeSeen,
  type Writes,
} from "./MailboxWrites.ts"
import { LmdbStore } from "./Store.ts"

/** The bounds of the mailboxes, where they are not the defaults. */
export interface MailboxOptions {
  readonly limits?: MailboxLimits
  readonly storage?: MailboxStorageLimits
}

/** The mailboxes in the environment of `LmdbStore`. */
export const layerWith = (options: MailboxOptions): Layer.Layer<Mailbox, StorageUnavailable, LmdbStore> =>
  Layer.effect(Mailbox, make(options))

/** As `NIMBUS_IDLE_DAYS` says. */
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
  let partitions = 0
  /** How long a row with nothing in it is kept. */
  let keep_ms = Infinity

  const addressFor = (clientId: ClientId): Address => {
    if (partitions === 0) throw new Error("Mailbox.claim must come before anything else")
    return { clientId, partition: partitionOf(clientId, partitions) }
  }
  const read = <A>(operation: string, read: () => A) => Effect.mapError(store.read(read), unavailable(operation))
  const commit = <A>(operation: string, write: () => A) => Effect.mapError(store.commit(write), unavailable(operation))

  return Mailbox.of({
    claim: Effect.fn("Mailbox.claim")(function* (log) {
      yield* Effect.mapError(acks.flush, unavailable("claim"))
      const mismatch = yield* commit("claim", () => claim(tables, log))
      if (mismatch !== undefined) return yield* mismatch
      partitions = log.partitions
      keep_ms = Math.max(limits.mailbox_idle_ms, log.retained_ms ?? Infinity)
    }),
    offset: (partition) => read("offset", () => readPartition(tables, partition).offset),
    put: (partition, put) =>
      Effect.suspend(() => {
        const chunk = byClient(partition, put)
        return commit("put", () => writeChunk(writes, put, chunk, acks.of))
      }),
    page: (clientId, after, limit) =>
      Effect.suspend(() => {
        const at = addressFor(clientId)
        return read("page", () => page(tables, at, acks.of(clientId), after, limit))
      }),
    ack: (clients) =>
      Effect.suspend(() => acks.add(clients.map(({ clientId, seq }) => ({ ...addressFor(clientId), seq })))).pipe(
        Effect.mapError(unavailable("ack")),
      ),
    waiting: (asked, areHere = false) =>
      Effect.suspend(() => {
        const addresses = asked.map(({ clientId }) => addressFor(clientId))
        const seen_ms = writes.now() - keep_ms * seen_share
        const aging: Array<Address> = []
        return read("waiting", () =>
          asked.map(({ after, clientId }, i) => {
            const row = readClient(tables, addresses[i]!)
            if (areHere && row !== undefined && isIdle(row, seen_ms)) aging.push(addresses[i]!)
            return isWaiting(tables, addresses[i]!, row, later(after, acks.of(clientId)))
          }),
        ).pipe(Effect.tap(() => (aging.length === 0 ? Effect.void : commit("waiting", () => writeSeen(writes, aging)))))
      }),
    expire: (now_ms) =>
      Effect.mapError(
        expire(store, writes, acks, { age_ms: now_ms - limits.mailbox_age_ms, idle_ms: now_ms - keep_ms }),
        unavailable("expire"),
      ),
    stats: (clientId) =>
      Effect.suspend(() => {
        const at = addressFor(clientId)
        return read("stats", () => stats(tables, at, acks.of(clientId)))
      }),
  })
})

const unavailable = (operation: string) => (cause: StorageUnavailable) => new MailboxUnavailable({ operation, cause })

/** Binds an unbound store. */
const claim = (
  tables: MailboxTables,
  log: { readonly incarnation: Incarnation; readonly partitions: number; readonly ends: ReadonlyArray<number> },
): StoreMismatch | undefined => {
  const { ends, incarnation, partitions } = log
  const mismatch = (reason: StoreMismatch["reason"], stored: string, found: string) =>
    new StoreMismatch({ reason, stored, found, incarnation })
  const bound = readLog(tables)
  if (bound === undefined) return void writeLog(tables, { format: 1, incarnation, partitions })
  if (bound.incarnation !== incarnation) return mismatch("incarnation", bound.incarnation, incarnation)
  if (bound.partitions !== partitions) return mismatch("partitions", `${bound.partitions}`, `${partitions}`)
  for (let partition = 0; partition < partitions; partition++) {
    const { highest } = readPartition(tables, partition)
    const end = ends[partition] ?? 0
    if (highest >= end) return mismatch("beyond-end", `seq ${highest} of partition ${partition}`, `end ${end}`)
  }
  return undefined
}

const byClient = (partition: number, { records }: Put): Chunk => {
  const clients = new Map<ClientId, Array<MailboxRecord>>()
  let highest: Cursor = start
  for (const record of records) {
    const found = clients.get(record.clientId)
    if (found === undefined) clients.set(record.clientId, [record])
    else found.push(record)
    highest = later(highest, record.seq)
  }
  return { partition, clients, highest }
}

const page = (tables: MailboxTables, at: Address, ack: Cursor, after: Cursor, limit: PageLimit): Page => {
  const { forgotten, hole } = readPartition(tables, at.partition)
  const row = readClient(tables, at) ?? newClient(forgotten)
  const acked = later(row.acked, ack)
  const cursor = later(after, acked)
  const found = recordsAbove(tables, at, row, cursor, limit)
  return { ...found, acked, floor: row.floor, hole: holeFrom(hole, cursor, row.unknown) }
}

const recordsAbove = (
  tables: MailboxTables,
  at: Address,
  row: ClientRow,
  after: Cursor,
  limit: PageLimit,
): Pick<Page, "records" | "short"> => {
  const records: Array<Item> = []
  const cursor = later(after, row.floor)
  if (row.last <= cursor) return { records, short: true }
  let bytes = 0
  for (const { value } of tables.blocks.range({ start: keyAround(tables, at, cursor), end: blockKey(at, beyond) })) {
    const block = new Block(value)
    for (let i = block.firstAbove(cursor); i < block.count; i++) {
      bytes += block.lengthAt(i)
      const isFull = records.length >= limit.results || bytes > limit.bytes
      if (isFull && records.length > 0) return { records, short: false }
      records.push(block.itemAt(i))
    }
  }
  return { records, short: true }
}

/** The key of the block that `cursor` falls into. */
const keyAround = (tables: MailboxTables, at: Address, cursor: Cursor): Uint8Array => {
  const before = { start: blockKey(at, later(cursor, seqUnsafe(0))), end: blockKey(at, start), reverse: true, limit: 1 }
  for (const key of tables.blocks.keys(before)) return key
  return blockKey(at, start)
}

/** A record above `cursor`, or a loss: what the limits removed up to `floor`, or what is missing below `hole`. */
const isWaiting = (tables: MailboxTables, at: Address, row: ClientRow = newClient(), after: Cursor): boolean => {
  const cursor = later(after, row.acked)
  return row.last > cursor || row.floor > cursor || readPartition(tables, at.partition).hole - 1 > cursor
}

const stats = (tables: MailboxTables, at: Address, ack: Cursor): MailboxStats => {
  const row = readClient(tables, at) ?? newClient()
  const acked = later(row.acked, ack)
  const trimmed = tally(tables, at, later(row.acked, row.floor), acked)
  return { results: row.results - trimmed.results, bytes: row.bytes - trimmed.bytes, acked, floor: row.floor }
}

/** Records of before `age_ms` go, and rows with nothing in them of before `idle_ms`. */
interface Before {
  readonly age_ms: number
  readonly idle_ms: number
}

/** Looks at every row, some at a time. */
const expire = Effect.fnUntraced(function* (
  store: LmdbStore["Service"],
  writes: Writes,
  acks: MailboxAcks,
  before: Before,
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
  yield* countForgotten("mailboxes", forgotten)
  return removed
})

const withAck = (at: Address, acks: MailboxAcks): ClientAck => ({ ...at, seq: acks.of(at.clientId) })

/** Clients that may have records of before, those that may be forgotten, and the key to go on from. */
const someDue = ({ storage, tables }: Writes, start: Uint8Array, { age_ms, idle_ms }: Before) => {
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
