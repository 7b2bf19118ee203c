/**
 * The mailboxes in Redis: see MailboxScripts.ts for what is where. Everything that changes them is one script a
 * partition, so that whatever a failover rolls back, it rolls back a partition's mailboxes and its offset together.
 *
 * Nothing is kept in this process but which log the store is bound to. A store that was emptied is bound again by the
 * first put or ack.
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
  Mailbox,
  type MailboxStats,
  type Page,
  type PageLimit,
  type PutOutcome,
} from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import type { RedisUnavailable } from "../Errors.ts"
import { type RedisMailboxLimits, redisMailboxLimits, seen_share } from "../Limits.ts"
import { byClient, highestAcks, highestOf, later } from "../MailboxInput.ts"
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

/** The bounds of the mailboxes, where they are not the defaults. */
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
  let bound: Log | undefined

  const log = (): Log => {
    if (bound === undefined) throw new Error("Mailbox.claim must come before anything else")
    return bound
  }
  const boxOf = (clientId: ClientId) => box(partitionOf(clientId, log().partitions), clientId)
  const binding = () => [log().incarnation, log().partitions]
  /** How long a box with nothing in it is kept, in ms. 0: for ever. */
  const keep_ms = () => {
    const keep_ms = Math.max(limits.mailbox_idle_ms, log().retained_ms)
    return Number.isFinite(keep_ms) ? Math.ceil(keep_ms) : 0
  }
  const keysOf = (partition: number, clientIds: ReadonlyArray<string>) => [
    offset(partition),
    ages(partition),
    losses(partition),
    ...clientIds.map((clientId) => box(partition, clientId)),
  ]

  /** In steps of one partition each, many at once; the answers in the order asked. */
  const byPartition = <A extends { readonly clientId: ClientId }, B>(
    asked: ReadonlyArray<A>,
    step: (partition: number, some: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, RedisUnavailable>,
  ): Effect.Effect<ReadonlyArray<B>, RedisUnavailable> =>
    Effect.suspend(() => {
      const answers: Array<B> = []
      return Effect.forEach(
        stepsOf(asked, log().partitions, storage.step_clients),
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

  const expirePartition = Effect.fnUntraced(function* (partition: number, before_ms: number) {
    let removed = 0
    let from = "0"
    do {
      // In no order: ages move while this goes on.
      const args = [ages(partition), from, "count", storage.step_clients]
      const { due, next } = yield* redis.command("zscan", args, (reply) => readAges(reply, before_ms))
      for (let i = 0; i < due.length; i += storage.step_clients) {
        const some = due.slice(i, i + storage.step_clients)
        removed += yield* redis.run(
          expireScript,
          keysOf(partition, some),
          [keep_ms(), before_ms, ...some],
          Reply.integer,
        )
      }
      from = next
    } while (from !== "0")
    return removed
  })

  /** Those of which Redis must not forget more than their floor; it forgets the others on its own. */
  const forgetPartition = Effect.fnUntraced(function* (partition: number, before_ms: number) {
    let forgotten = 0
    for (;;) {
      const args = [losses(partition), "-inf", before_ms, "limit", 0, storage.step_clients]
      const due = yield* redis.command("zrangebyscore", args, (reply) =>
        Reply.list(reply).map((id) => Reply.text(id) ?? ""),
      )
      if (due.length === 0) return forgotten
      const gone = yield* redis.run(forgetScript, keysOf(partition, due), [keep_ms(), ...due], Reply.integer)
      forgotten += gone
      if (gone === 0) return forgotten
    }
  })

  return Mailbox.of({
    claim: Effect.fn("Mailbox.claim")(function* (found) {
      // The first decides: who loses a race for it binds no other.
      for (let partition = 0; partition < found.partitions; partition++) {
        const end = found.ends[partition] ?? 0
        const mismatch = yield* redis
          .run(claimScript, [offset(partition)], [found.incarnation, found.partitions, end], (reply) =>
            reply === null ? undefined : mismatchOf(partition, Reply.list(reply), found, end),
          )
          .pipe(Effect.mapError(unavailable("claim")))
        if (mismatch !== undefined) return yield* mismatch
      }
      bound = { ...found, retained_ms: found.retained_ms ?? Infinity }
    }),
    offset: (partition) =>
      Effect.mapError(redis.command("hget", [offset(partition), "offset"], Reply.number), unavailable("offset")),
    put: (partition, put) =>
      Effect.suspend(() => {
        const clients = byClient(put.records)
        const keys = keysOf(partition, [...clients.keys()])
        const args: Array<Argument> = [
          keep_ms(),
          put.expected ?? "",
          put.next,
          put.hole ?? "",
          highestOf(put.records),
          ...binding(),
        ]
        args.push(limits.mailbox_results, limits.mailbox_bytes, storage.merge_bytes, storage.block_bytes)
        for (const [clientId, records] of clients) {
          const blocks = pack(records, storage.block_bytes)
          args.push(clientId, blocks.length)
          for (const block of blocks) args.push(block)
        }
        return Effect.mapError(redis.run(putScript, keys, args, readOutcome), unavailable("put"))
      }),
    page: (clientId, after, limit) =>
      Effect.suspend(() => {
        const keys = [offset(partitionOf(clientId, log().partitions)), boxOf(clientId)]
        const args = [after, limit.results, limit.bytes]
        return redis.run(pageScript, keys, args, (reply) => readPage(reply, after, limit))
      }).pipe(Effect.mapError(unavailable("page"))),
    ack: (acks) =>
      byPartition(highestAcks(acks), (partition, some) => {
        const keys = keysOf(
          partition,
          some.map(({ clientId }) => clientId),
        )
        const args = some.flatMap(({ clientId, seq }) => [clientId, seq])
        return redis.run(ackScript, keys, [keep_ms(), ...binding(), ...args], (): ReadonlyArray<never> => [])
      }).pipe(Effect.asVoid, Effect.mapError(unavailable("ack"))),
    waiting: (asked, areHere = false) =>
      byPartition(asked, (partition, some) => {
        const ids = some.map(({ clientId }) => clientId)
        return redis.run(rowsScript, keysOf(partition, ids), [areHere ? keep_ms() : 0, seen_share, ...ids], (reply) => {
          const [hole, ...rows] = Reply.list(reply)
          return some.map(({ after }, i) => isWaiting(readRow(rows[i]), readCursor(hole), after))
        })
      }).pipe(Effect.mapError(unavailable("waiting"))),
    expire: (now_ms) =>
      Effect.suspend(() =>
        Effect.forEach(Array(log().partitions).keys(), (partition) =>
          Effect.gen(function* () {
            const removed = yield* expirePartition(partition, now_ms - limits.mailbox_age_ms)
            if (keep_ms() > 0) yield* countForgotten("mailboxes", yield* forgetPartition(partition, now_ms - keep_ms()))
            return removed
          }),
        ),
      ).pipe(
        Effect.map((removed) => removed.reduce((sum, went) => sum + went, 0)),
        Effect.mapError(unavailable("expire")),
      ),
    stats: (clientId) =>
      Effect.suspend(() => redis.run(firstBlockScript, [boxOf(clientId)], [], readStats)).pipe(
        Effect.mapError(unavailable("stats")),
      ),
  })
})

interface Log {
  readonly incarnation: Incarnation
  readonly partitions: number
  readonly retained_ms: number
}

/** Steps of different partitions sent without waiting for each other. */
const steps_at_once = 64

const unavailable = (operation: string) => (cause: RedisUnavailable) => new MailboxUnavailable({ operation, cause })

const makeKeys = (prefix: string) => ({
  offset: (partition: number) => `{${prefix}:p${partition}}:offset`,
  ages: (partition: number) => `{${prefix}:p${partition}}:ages`,
  losses: (partition: number) => `{${prefix}:p${partition}}:losses`,
  box: (partition: number, clientId: string) => `{${prefix}:p${partition}}:box:${clientId}`,
})

/** Some of the ages: the clients whose age is before, and where to go on. */
const readAges = (reply: unknown, before_ms: number) => {
  const [next, members] = Reply.list(reply)
  const words = Reply.list(members).map((word) => Reply.text(word) ?? "")
  return {
    due: words.filter((_, i) => i % 2 === 0 && Number(words[i + 1]) < before_ms),
    next: Reply.text(next) ?? "0",
  }
}

const mismatchOf = (
  partition: number,
  reply: ReadonlyArray<unknown>,
  { incarnation, partitions }: Omit<Log, "retained_ms">,
  end: number,
) => {
  const [reason, stored = ""] = reply.map(Reply.text)
  const mismatch = (reason: StoreMismatch["reason"], stored: string, found: string) =>
    new StoreMismatch({ reason, stored, found, incarnation })
  if (reason === "incarnation") return mismatch(reason, stored, incarnation)
  if (reason === "partitions") return mismatch(reason, stored, `${partitions}`)
  return mismatch("beyond-end", `seq ${stored} of partition ${partition}`, `end ${end}`)
}

interface Step {
  readonly partition: number
  /** Where in what was asked. */
  readonly places: Array<number>
}

const stepsOf = (
  asked: ReadonlyArray<{ readonly clientId: ClientId }>,
  partitions: number,
  step_clients: number,
): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  const open = new Map<number, Step>()
  asked.forEach(({ clientId }, place) => {
    const partition = partitionOf(clientId, partitions)
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

/** What a row has for readers; the rest is for the scripts. */
interface Row {
  readonly acked: Cursor
  readonly floor: Cursor
  readonly last: Cursor
  readonly results: number
  readonly bytes: number
}

const newRow: Row = { acked: start, floor: start, last: start, results: 0, bytes: 0 }

const toCursor = (n: number): Cursor => (n < 0 ? start : seqUnsafe(n))

const readCursor = (reply: unknown): Cursor => toCursor(Reply.number(reply) ?? -1)

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

const readPage = (reply: unknown, after: Cursor, limit: PageLimit): Page => {
  const [hole, unknown, stored, ...blocks] = Reply.list(reply)
  const { acked, floor, last } = readRow(stored)
  const cursor = later(after, later(acked, floor))
  const records: Array<Item> = []
  let bytes = 0
  let isFull = false
  for (const block of blocks) {
    if (isFull) break
    forEachAbove(Reply.bytes(block) ?? Buffer.alloc(0), cursor, (seq, value, headers) => {
      bytes += value.length
      isFull = records.length > 0 && (records.length >= limit.results || bytes > limit.bytes)
      if (!isFull) records.push(headers === undefined ? { seq, value } : { seq, value, headers })
      return !isFull
    })
  }
  return {
    records,
    short: (records.at(-1)?.seq ?? cursor) >= last,
    acked,
    floor,
    hole: holeFrom(readCursor(hole), later(after, acked), readCursor(unknown)),
  }
}

/** A record above all cursors, or a loss: what the limits removed up to `floor`, or what is missing below `hole`. */
const isWaiting = ({ acked, floor, last }: Row, hole: Cursor, after: Cursor): boolean => {
  const cursor = later(after, acked)
  return last > later(cursor, floor) || floor > cursor || hole - 1 > cursor
}

const readStats = (reply: unknown): MailboxStats => {
  const [stored, block] = Reply.list(reply)
  const { acked, bytes, floor, results } = readRow(stored)
  const live = { results, bytes }
  // Only the first block may have records that are gone already.
  forEachAbove(Reply.bytes(block) ?? Buffer.alloc(0), start, (seq, value) => {
    if (seq > later(acked, floor)) return false
    live.results--
    live.bytes -= value.length
    return true
  })
  return { ...live, acked, floor }
}
