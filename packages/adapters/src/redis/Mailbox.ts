/**
 * The mailboxes in Redis. MailboxScripts.ts describes the keys. Each change of a partition is one script, so that a
 * failover rolls back the mailboxes and the offset of a partition together.
 *
 * This process keeps only the log to which the store is bound. The first put or ack binds an emptied store again.
 */
import { type MailboxLimits, mailboxLimits } from "@nimbus/domain/limits"
import { type Cursor, start } from "@nimbus/domain/protocol"
import {
  Mailbox,
  MailboxRules,
  type MailboxStats,
  MailboxStorage,
  type PageLimit,
  type PutOutcome,
} from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import type { RedisUnavailable } from "../Errors.ts"
import { type RedisMailboxLimits, redisMailboxLimits, seen_share } from "../Limits.ts"
import { RedisConnection } from "./Connection.ts"
import { forEachAbove, pack } from "./MailboxBlock.ts"
import {
  ackScript,
  claimScript,
  expireScript,
  firstBlockScript,
  forgetScript,
  pageScript,
  putScript,
  rowsScript,
} from "./MailboxScripts.ts"
import * as Reply from "./Reply.ts"
import type { Argument } from "./Script.ts"

type Address = MailboxStorage.Address
type BoundLog = MailboxStorage.BoundLog
const { later, toCursor } = MailboxRules

/** The bounds of the mailboxes that differ from the defaults. */
export interface MailboxOptions {
  readonly limits?: MailboxLimits
  readonly storage?: RedisMailboxLimits
}

/** The mailboxes in Redis, within these bounds. */
export const layerWith = (options: MailboxOptions): Layer.Layer<Mailbox, never, RedisConnection> =>
  Layer.effect(Mailbox, make(options))

/** The mailboxes in Redis, within the default bounds. */
export const layer = Layer.suspend(() => layerWith({}))

const make = Effect.fnUntraced(function* ({ limits = mailboxLimits, storage = redisMailboxLimits }: MailboxOptions) {
  const redis = yield* RedisConnection
  const { ages, box, losses, offset } = makeKeys(redis.prefix)
  const keysOf = (partition: number, clientIds: ReadonlyArray<string>) => [
    offset(partition),
    ages(partition),
    losses(partition),
    ...clientIds.map((clientId) => box(partition, clientId)),
  ]

  /** Runs steps of one partition each, several at the same time. Returns the replies in the order of the clients. */
  const byPartition = <A extends Address, B>(
    asked: ReadonlyArray<A>,
    step: (partition: number, some: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, RedisUnavailable>,
  ): Effect.Effect<ReadonlyArray<B>, RedisUnavailable> =>
    Effect.suspend(() => {
      const answers: Array<B> = []
      return Effect.forEach(
        stepsOf(asked, storage.step_clients),
        ({ partition, places }) =>
          Effect.map(
            step(
              partition,
              places.map((place) => asked[place]!),
            ),
            (found) => found.forEach((answer, i) => (answers[places[i]!] = answer)),
          ),
        { concurrency: steps_at_once, discard: true },
      ).pipe(Effect.as(answers))
    })

  const expirePartition = Effect.fnUntraced(function* (partition: number, keep_ms: number, before_ms: number) {
    let removed = 0
    let from = "0"
    do {
      // The order is arbitrary, because ages change meanwhile.
      const args = [ages(partition), from, "count", storage.step_clients]
      const { due, next } = yield* redis.command("zscan", args, (reply) => readAges(reply, before_ms))
      for (let i = 0; i < due.length; i += storage.step_clients) {
        const some = due.slice(i, i + storage.step_clients)
        removed += yield* redis.run(expireScript, keysOf(partition, some), [keep_ms, before_ms, ...some], Reply.integer)
      }
      from = next
    } while (from !== "0")
    return removed
  })

  /** The mailboxes of which the floor must be kept when they are forgotten. Redis expires the others itself. */
  const forgetPartition = Effect.fnUntraced(function* (partition: number, keep_ms: number, before_ms: number) {
    let forgotten = 0
    for (;;) {
      const args = [losses(partition), "-inf", before_ms, "limit", 0, storage.step_clients]
      const due = yield* redis.command("zrangebyscore", args, (reply) =>
        Reply.list(reply).map((id) => Reply.text(id) ?? ""),
      )
      if (due.length === 0) return forgotten
      const gone = yield* redis.run(forgetScript, keysOf(partition, due), [keep_ms, ...due], Reply.integer)
      forgotten += gone
      if (gone === 0) return forgotten
    }
  })

  const driver: MailboxStorage.MailboxDriver<RedisUnavailable> = {
    claim: Effect.fnUntraced(function* (log) {
      const { incarnation, partitions } = log
      // The first partition decides, so that a process that loses the race binds no other partition.
      for (let partition = 0; partition < partitions; partition++) {
        const bound = yield* redis.run(claimScript, [offset(partition)], [incarnation, partitions], readBinding)
        const mismatch = MailboxRules.mismatchOf(log, { partition, incarnation, partitions, ...bound })
        if (mismatch !== undefined) return yield* mismatch
      }
    }),
    offset: (partition) => redis.command("hget", [offset(partition), "offset"], Reply.number),
    put: (partition, { expected, hole, next, records }, log) =>
      Effect.suspend(() => {
        const clients = MailboxRules.byClient(records)
        const highest = MailboxRules.highestOf(records)
        const args: Array<Argument> = [keepOf(log), expected ?? "", next, hole ?? "", highest, ...bindingOf(log)]
        args.push(limits.mailbox_results, limits.mailbox_bytes, storage.merge_bytes, storage.block_bytes)
        for (const [clientId, records] of clients) {
          const blocks = pack(records, storage.block_bytes)
          args.push(clientId, blocks.length)
          for (const block of blocks) args.push(block)
        }
        return redis.run(putScript, keysOf(partition, [...clients.keys()]), args, readOutcome)
      }),
    page: ({ clientId, partition }, after, limit) => {
      const keys = [offset(partition), box(partition, clientId)]
      const args = [after, limit.results, limit.bytes]
      return redis.run(pageScript, keys, args, (reply) => readPage(reply, after, limit))
    },
    ack: (acks, log) =>
      Effect.asVoid(
        byPartition(MailboxRules.highestAcks(acks), (partition, some) => {
          const keys = keysOf(
            partition,
            some.map(({ clientId }) => clientId),
          )
          const args = some.flatMap(({ clientId, seq }) => [clientId, seq])
          const most = [keepOf(log), ...bindingOf(log), ...args]
          return redis.run(ackScript, keys, most, (): ReadonlyArray<never> => [])
        }),
      ),
    states: (asked, areHere, log) =>
      byPartition(asked, (partition, some) => {
        const ids = some.map(({ clientId }) => clientId)
        const args = [areHere ? keepOf(log) : 0, seen_share, ...ids]
        return redis.run(rowsScript, keysOf(partition, ids), args, (reply) => {
          const [hole, ...rows] = Reply.list(reply)
          return some.map((_, i) => ({ ...readRow(rows[i]), hole: readCursor(hole) }))
        })
      }),
    expire: Effect.fnUntraced(function* ({ age_ms, idle_ms }, log) {
      const keep_ms = keepOf(log)
      let [removed, forgotten] = [0, 0]
      for (let partition = 0; partition < log.partitions; partition++) {
        removed += yield* expirePartition(partition, keep_ms, age_ms)
        if (keep_ms > 0) forgotten += yield* forgetPartition(partition, keep_ms, idle_ms)
      }
      return { removed, forgotten }
    }),
    stats: ({ clientId, partition }) => redis.run(firstBlockScript, [box(partition, clientId)], [], readStats),
  }
  return MailboxStorage.make(driver, limits)
})

/** How long an empty box is kept, in ms. 0: without end. */
const keepOf = ({ keep_ms }: BoundLog): number => (Number.isFinite(keep_ms) ? Math.ceil(keep_ms) : 0)

const bindingOf = ({ incarnation, partitions }: BoundLog): ReadonlyArray<Argument> => [incarnation, partitions]

/** The number of steps of different partitions in flight. */
const steps_at_once = 64

const makeKeys = (prefix: string) => ({
  offset: (partition: number) => `{${prefix}:p${partition}}:offset`,
  ages: (partition: number) => `{${prefix}:p${partition}}:ages`,
  losses: (partition: number) => `{${prefix}:p${partition}}:losses`,
  box: (partition: number, clientId: string) => `{${prefix}:p${partition}}:box:${clientId}`,
})

/** A part of the ages: the clients whose oldest record is older than a time, and the cursor of the next part. */
const readAges = (reply: unknown, before_ms: number) => {
  const [next, members] = Reply.list(reply)
  const words = Reply.list(members).map((word) => Reply.text(word) ?? "")
  return {
    due: words.filter((_, i) => i % 2 === 0 && Number(words[i + 1]) < before_ms),
    next: Reply.text(next) ?? "0",
  }
}

/** The log to which a partition is bound. An unbound partition is bound now. */
const readBinding = (reply: unknown) => {
  const [incarnation, partitions, highest] = Reply.list(reply)
  return {
    ...(incarnation !== null && { incarnation: Reply.text(incarnation) ?? "" }),
    ...(partitions !== null && { partitions: Number(Reply.text(partitions)) }),
    highest: readCursor(highest),
  }
}

interface Step {
  readonly partition: number
  /** The index in the request. */
  readonly places: Array<number>
}

const stepsOf = (asked: ReadonlyArray<Address>, step_clients: number): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  const open = new Map<number, Step>()
  asked.forEach(({ partition }, place) => {
    const last = open.get(partition)
    if (last !== undefined && last.places.length < step_clients) return last.places.push(place)
    const step = { partition, places: [place] }
    steps.push(step)
    return open.set(partition, step)
  })
  return steps
}

const readOutcome = (reply: unknown): PutOutcome => {
  if (reply === 1) return { _tag: "Stored" }
  const stored = Reply.text(reply)
  return { _tag: "Differs", stored: stored === "" || stored === undefined ? undefined : Number(stored) }
}

/** The fields of a row that readers use. The others are for the scripts. */
interface Row {
  readonly acked: Cursor
  readonly floor: Cursor
  readonly last: Cursor
  readonly results: number
  readonly bytes: number
}

const newRow: Row = { acked: start, floor: start, last: start, results: 0, bytes: 0 }

const readCursor = (reply: unknown): Cursor => toCursor(Reply.number(reply))

const readRow = (reply: unknown): Row => {
  const row = Reply.bytes(reply)
  if (row === undefined) return newRow
  return {
    acked: toCursor(row.readDoubleLE(0)),
    floor: toCursor(row.readDoubleLE(8)),
    last: toCursor(row.readDoubleLE(16)),
    results: row.readDoubleLE(24),
    bytes: row.readDoubleLE(32),
  }
}

const readPage = (reply: unknown, after: Cursor, limit: PageLimit) => {
  const [hole, unknown, stored, ...blocks] = Reply.list(reply)
  const { acked, floor, last } = readRow(stored)
  const state = { acked, floor, last, hole: readCursor(hole), unknown: readCursor(unknown) }
  const cursor = later(after, later(acked, floor))
  const { fits, records } = MailboxRules.makeFiller(limit)
  let isFull = false
  for (const block of blocks) {
    if (isFull) break
    forEachAbove(Reply.bytes(block) ?? Buffer.alloc(0), cursor, (seq, value, headers) => {
      isFull = !fits(value.length)
      if (!isFull) records.push(headers === undefined ? { seq, value } : { seq, value, headers })
      return !isFull
    })
  }
  return { state, records }
}

const readStats = (reply: unknown): MailboxStats => {
  const [stored, block] = Reply.list(reply)
  const { acked, bytes, floor, results } = readRow(stored)
  const live = { results, bytes }
  // Only the first block may have records that were removed already.
  forEachAbove(Reply.bytes(block) ?? Buffer.alloc(0), start, (seq, value) => {
    if (seq > later(acked, floor)) return false
    live.results--
    live.bytes -= value.length
    return true
  })
  return { ...live, acked, floor }
}
