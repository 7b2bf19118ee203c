/**
 * A mailbox store that is simple enough to be evidently correct, and random commands that compare any other store with
 * it.
 *
 * The model keeps each mailbox as one sorted array, and copies it at every step. Seqs, times and offsets are small, so
 * that repeats, late seqs, removals up to the middle of a mailbox and differing offsets all occur often.
 */
import { assert } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ClientId, Cursor, Incarnation, Seq, start } from "../protocol/Ids.ts"
import { idle_ms, type MailboxLimits } from "../Limits.ts"
import type { Mailbox, MailboxRecord, MailboxStats, Page, PageLimit, Put, PutOutcome } from "../services/Mailbox.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import type { Item } from "../protocol/Records.ts"

/** The log that suites claim. No seq reaches its ends. */
export const log = { incarnation: Incarnation.make("log-1"), partitions: 3, ends: [1e6, 1e6, 1e6], retained_ms: 0 }

/** The `n`th client of a partition of `log`. */
export const clientIn = (partition: number, n = 0): ClientId => {
  for (let i = 0, found = 0; ; i++) {
    const id = ClientId.make(`client-${i}`)
    if (partitionOf(id, log.partitions) === partition && found++ === n) return id
  }
}

/** A record whose bytes follow from its seq, of 10 to 40 bytes. */
export const record = (clientId: ClientId, seq: number, more?: Partial<MailboxRecord>): MailboxRecord => ({
  clientId,
  seq: Seq.make(seq),
  value: new TextEncoder().encode(`{"seq":${seq}${" ".repeat((seq * 7) % 29)}}`),
  timestamp: seq,
  ...more,
})

/** The parts of a page in which two stores must agree, with bytes as text, so that a failure is readable. */
export const readable = (page: Page) => ({ ...page, records: page.records.map(readableItem) })

const readableItem = ({ headers, seq, value }: Item) => ({
  seq,
  value: new TextDecoder().decode(value),
  headers: headers ?? {},
})

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const list = <S extends Schema.Constraint>(item: S, maximum: number) =>
  Schema.Array(item).check(Schema.isMaxLength(maximum))

const partition = int(0, 1)
/** The number of the client in the partition. */
const client = int(0, 1)
const cursor = int(-1, 60)

const Command = Schema.TaggedUnion({
  Put: {
    partition,
    expected: Schema.Literals(["stored", "stored", "stored", "nothing", "behind"]),
    step: int(0, 2),
    hole: Schema.optionalKey(int(0, 40)),
    records: list(Schema.Struct({ client, seq: int(0, 40), timestamp: int(0, 100), followed: Schema.Boolean }), 12),
  },
  /** The usual case: seqs above the highest so far. */
  Append: { partition, client, count: int(1, 9), timestamp: int(0, 100) },
  Ack: { acks: list(Schema.Struct({ partition, client, seq: cursor }), 3) },
  Page: { partition, client, after: cursor, results: int(1, 9), bytes: int(0, 200) },
  Waiting: { after: cursor },
  Expire: { now_ms: int(0, 140) },
  Stats: { partition, client },
  Offset: { partition },
})
type Command = typeof Command.Type

/** Limits that are reached often, seldom, and never. */
export const Limits = Schema.Struct({
  mailbox_results: Schema.Literals([2, 9, 1_000]),
  mailbox_bytes: Schema.Literals([30, 200, 100_000]),
  mailbox_age_ms: Schema.Literals([10, 50, 1_000]),
  /** Never reached: see `forgetSentences` of the suite. */
  mailbox_idle_ms: Schema.Literal(idle_ms),
})

export const Commands = list(Command, 60)

/** Runs the commands on both stores, and fails at the first reply that differs from that of the model. */
export const compare = Effect.fnUntraced(function* (
  mailbox: Mailbox["Service"],
  limits: MailboxLimits,
  commands: ReadonlyArray<Command>,
) {
  yield* mailbox.claim(log)
  const model = makeModel(limits)
  for (const command of commands) {
    const step = steps(model, mailbox, command)
    assert.deepStrictEqual(yield* step.found, step.expected(), JSON.stringify(command))
  }
  for (const clientId of clients) {
    const all = { results: 1_000, bytes: 1_000_000 }
    assert.deepStrictEqual(
      readable(yield* mailbox.page(clientId, start, all)),
      readable(model.page(clientId, start, all)),
    )
    assert.deepStrictEqual(yield* mailbox.stats(clientId), model.stats(clientId))
  }
})

const clients = [clientIn(0, 0), clientIn(0, 1), clientIn(1, 0), clientIn(1, 1)]
const clientOf = (at: { readonly partition: number; readonly client: number }) => clients[at.partition * 2 + at.client]!

/** The same command for the store under test, and for the model after the store has replied. */
const steps = (model: Model, mailbox: Mailbox["Service"], command: Command): Step =>
  Command.match(command, {
    Put: (put): Step => putStep(model, mailbox, put.partition, toPut(model, put)),
    Append: (append): Step => putStep(model, mailbox, append.partition, toAppend(model, append)),
    Ack: ({ acks }): Step => {
      const all = acks.map((ack) => ({ clientId: clientOf(ack), seq: Cursor.make(ack.seq) }))
      return { found: mailbox.ack(all), expected: () => model.ack(all) }
    },
    Page: (page): Step => {
      const clientId = clientOf(page)
      const after = Cursor.make(page.after)
      return {
        found: Effect.map(mailbox.page(clientId, after, page), readable),
        expected: () => readable(model.page(clientId, after, page)),
      }
    },
    Waiting: ({ after }): Step => {
      const asked = clients.map((clientId) => ({ clientId, after: Cursor.make(after) }))
      return {
        found: mailbox.waiting(asked),
        expected: () => asked.map((one) => model.isWaiting(one.clientId, one.after)),
      }
    },
    Expire: ({ now_ms }): Step => ({ found: mailbox.expire(now_ms), expected: () => model.expire(now_ms) }),
    Stats: (at): Step => ({ found: mailbox.stats(clientOf(at)), expected: () => model.stats(clientOf(at)) }),
    Offset: ({ partition }): Step => ({ found: mailbox.offset(partition), expected: () => model.offset(partition) }),
  })

interface Step {
  readonly found: Effect.Effect<unknown, unknown>
  readonly expected: () => unknown
}

const putStep = (model: Model, mailbox: Mailbox["Service"], partition: number, put: Put): Step => ({
  found: mailbox.put(partition, put),
  expected: () => model.put(partition, put),
})

const toPut = (model: Model, command: Extract<Command, { readonly _tag: "Put" }>): Put => {
  const stored = model.offset(command.partition)
  const expected = { stored, nothing: undefined, behind: (stored ?? 1) - 1 }[command.expected]
  return {
    expected,
    next: (stored ?? 0) + command.step,
    hole: command.hole === undefined ? undefined : Seq.make(command.hole),
    records: command.records.map(({ client, followed, seq, timestamp }) =>
      record(clientOf({ partition: command.partition, client }), seq, {
        timestamp,
        headers: followed ? { "nimbus-journey": `step ${timestamp}` } : undefined,
      }),
    ),
  }
}

const toAppend = (model: Model, command: Extract<Command, { readonly _tag: "Append" }>): Put => {
  const clientId = clientOf(command)
  const stored = model.offset(command.partition)
  const records = Array.from({ length: command.count }, (_, i) =>
    record(clientId, model.highest(clientId) + 1 + i, { timestamp: command.timestamp + i }),
  )
  return { expected: stored, next: (stored ?? 0) + command.count, records }
}

interface Model {
  offset(partition: number): number | undefined
  put(partition: number, put: Put): PutOutcome
  ack(acks: ReadonlyArray<{ readonly clientId: ClientId; readonly seq: Cursor }>): void
  page(clientId: ClientId, after: Cursor, limit: PageLimit): Page
  isWaiting(clientId: ClientId, after: Cursor): boolean
  expire(now_ms: number): number
  stats(clientId: ClientId): MailboxStats
  highest(clientId: ClientId): number
}

const makeModel = (limits: MailboxLimits): Model => {
  const partitions = log.ends.map(() => ({ offset: undefined as number | undefined, hole: start }))
  const boxes = new Map<ClientId, { acked: Cursor; floor: Cursor; records: ReadonlyArray<MailboxRecord> }>()
  for (const clientId of clients) boxes.set(clientId, { acked: start, floor: start, records: [] })
  const box = (clientId: ClientId) => boxes.get(clientId)!
  const hole = (clientId: ClientId) => partitions[partitionOf(clientId, log.partitions)]!.hole
  const bytes = (records: ReadonlyArray<Item>) => records.reduce((sum, { value }) => sum + value.length, 0)
  const max = (...cursors: ReadonlyArray<number>) => Cursor.make(Math.max(...cursors))

  const insert = (one: MailboxRecord) => {
    const at = box(one.clientId)
    if (one.seq <= at.acked || one.seq <= at.floor || at.records.some(({ seq }) => seq === one.seq)) return
    at.records = [...at.records, one].sort((a, b) => a.seq - b.seq)
  }
  /** Removes the oldest records while `tooMuch` is true. Returns how many. */
  const removeWhile = (clientId: ClientId, tooMuch: (records: ReadonlyArray<MailboxRecord>) => boolean): number => {
    const at = box(clientId)
    let removed = 0
    for (; at.records.length > 0 && tooMuch(at.records); removed++) {
      at.floor = at.records[0]!.seq
      at.records = at.records.slice(1)
    }
    return removed
  }

  return {
    offset: (partition) => partitions[partition]!.offset,
    put: (partition, put) => {
      const at = partitions[partition]!
      if (at.offset !== put.expected) return { _tag: "Differs", stored: at.offset }
      for (const one of put.records) insert(one)
      for (const clientId of clients) {
        removeWhile(
          clientId,
          (records) => records.length > limits.mailbox_results || bytes(records) > limits.mailbox_bytes,
        )
      }
      at.offset = put.next
      at.hole = max(at.hole, put.hole ?? start)
      return { _tag: "Stored" }
    },
    ack: (acks) => {
      for (const { clientId, seq } of acks) {
        const at = box(clientId)
        at.acked = max(at.acked, seq)
        at.records = at.records.filter((one) => one.seq > seq)
      }
    },
    page: (clientId, after, limit) => {
      const { acked, floor, records } = box(clientId)
      const above = records.filter(({ seq }) => seq > after)
      let count = Math.min(1, above.length)
      while (count < above.length && count < limit.results && bytes(above.slice(0, count + 1)) <= limit.bytes) count++
      return { records: above.slice(0, count), short: count === above.length, acked, floor, hole: hole(clientId) }
    },
    isWaiting: (clientId, after) => {
      const { acked, floor, records } = box(clientId)
      const cursor = max(after, acked)
      return records.some(({ seq }) => seq > cursor) || floor > cursor || hole(clientId) > cursor + 1
    },
    expire: (now_ms) =>
      clients
        .map((clientId) => removeWhile(clientId, ([first]) => now_ms - first!.timestamp > limits.mailbox_age_ms))
        .reduce((sum, removed) => sum + removed, 0),
    stats: (clientId) => {
      const { acked, floor, records } = box(clientId)
      return { results: records.length, bytes: bytes(records), acked, floor }
    },
    highest: (clientId) => {
      const { acked, floor, records } = box(clientId)
      return max(acked, floor, records.at(-1)?.seq ?? start)
    },
  }
}
