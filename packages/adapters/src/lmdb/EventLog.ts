/**
 * The log on LMDB: the driver under `LocalLog`.
 *
 * | table | key | value |
 * | --- | --- | --- |
 * | log | `log` | JSON: incarnation, partition count, the number of each topic, the protocol |
 * | log-blocks | `BlockKey` | `BlockCodec`: the records of one append, in one value |
 * | log-commits | JSON: topic, group, partition | the next offset, in decimal; after a space what was committed with it |
 *
 * When a publish succeeds, its records have been flushed to disk. Commits of groups are written with the next records,
 * or after `commit_delay_ms`. A crash loses at most the commits of that time, and their records are read again.
 *
 * Opening a log of the previous protocol upgrades it. A version with that protocol then refuses to open it.
 */
import { StoreMismatch } from "@nimbus/domain/errors"
import type { LocalLogLimits } from "@nimbus/domain/limits"
import { Incarnation } from "@nimbus/domain/protocol"
import { type Committed, EventLog, LocalLog, RandomIds, retentionsOf, Topics } from "@nimbus/domain/services"
import { Config, Effect, Layer, Predicate, Record, Schema } from "effect"
import type { StorageUnavailable } from "../Errors.ts"
import { lmdbLogLimits } from "../Limits.ts"
import { BlockEncoder, decodeBlock } from "./BlockCodec.ts"
import { type BlockKey, decodeKey, encodeKey, prefix } from "./BlockKey.ts"
import { LmdbStore, type Table } from "./Store.ts"

/** The options of the log. */
export interface EventLogLmdbOptions {
  /** Default: those of the `Topics` service. */
  readonly topics?: ReadonlyArray<string> | undefined
  /** The partition count of each topic. A log that was created with another count is not opened. */
  readonly partitions?: number | undefined
  /** The retention by topic. The other topics have that of `lmdbLogLimits`. */
  readonly retention?: Readonly<Record<string, LocalLog.Retention>> | undefined
  readonly limits?: Partial<LocalLogLimits> | undefined
}

type OpenError = StorageUnavailable | StoreMismatch

/** The log in the environment of `LmdbStore`. */
export const layerWith = (options: EventLogLmdbOptions): Layer.Layer<EventLog, OpenError, LmdbStore | Topics> =>
  Layer.effect(
    EventLog,
    Effect.gen(function* () {
      const named = yield* Topics
      const topics = options.topics ?? Object.values(named)
      const partitions = options.partitions ?? lmdbLogLimits.partitions
      return yield* LocalLog.make(yield* openStore(topics, partitions), {
        topics,
        partitions,
        retention: {
          ...Object.fromEntries(topics.map((topic) => [topic, lmdbLogLimits])),
          ...retentionsOf(named),
          ...options.retention,
        },
        limits: options.limits,
      })
    }),
  )

/** Each partition has consumers of its own, so a larger number is a mistake. */
const partitionCount = Config.schema(
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_024 })),
  "NIMBUS_PARTITIONS",
).pipe(Config.withDefault(lmdbLogLimits.partitions))

/** The partition count is `NIMBUS_PARTITIONS`. */
export const layer: Layer.Layer<EventLog, OpenError | Config.ConfigError, LmdbStore | Topics> = Layer.unwrap(
  Effect.map(partitionCount, (partitions) => layerWith({ partitions })),
)

/** The version of the rules by which results and commits are written. A log of version 1 does not store it. */
const protocol = 2

/**
 * It is stored among the topics: a version of protocol 1 takes it for a topic, and refuses to open the log with this
 * name.
 */
const protocolEntry = "written by a newer version of Nimbus"

/** The description of the log, which is written once. */
const About = Schema.fromJsonString(
  Schema.Struct({
    incarnation: Incarnation,
    partitions: Schema.Int,
    topics: Schema.Record(Schema.String, Schema.Union([Schema.Int, Schema.Struct({ protocol: Schema.Int })])),
  }),
)
const decodeAbout = Schema.decodeSync(About)
const encodeAbout = Schema.encodeSync(About)

interface LogFacts {
  readonly incarnation: Incarnation
  readonly partitions: number
  readonly protocol: number
  readonly topics: Readonly<Record<string, number>>
}

const parseFacts = (stored: string): LogFacts => {
  const { topics, ...about } = decodeAbout(stored)
  const entry = topics[protocolEntry]
  return {
    ...about,
    protocol: typeof entry === "object" ? entry.protocol : 1,
    topics: Record.filter(topics, Predicate.isNumber),
  }
}

const formatFacts = ({ incarnation, partitions, topics }: LogFacts): string =>
  encodeAbout({ incarnation, partitions, topics: { ...topics, [protocolEntry]: { protocol } } })

const openStore = Effect.fnUntraced(function* (
  topics: ReadonlyArray<string>,
  partitions: number,
): Effect.fn.Return<LocalLog.LogStore<StorageUnavailable>, OpenError, LmdbStore> {
  const store = yield* LmdbStore
  const log = yield* store.table("log")
  const blocks = yield* store.table("log-blocks")
  const commits = yield* store.table("log-commits")
  const fresh = Incarnation.make((yield* RandomIds).uuid())
  const facts = yield* store.commit(() => describe(log, topics, partitions, fresh))
  const mismatch = (reason: StoreMismatch["reason"], stored: number, found: number) =>
    new StoreMismatch({ reason, stored: `${stored}`, found: `${found}`, incarnation: facts.incarnation })
  if (facts.protocol > protocol) return yield* mismatch("protocol", facts.protocol, protocol)
  if (facts.partitions !== partitions) return yield* mismatch("partitions", facts.partitions, partitions)
  return makeLogStore(store, blocks, commits, facts)
})

/** Reads the description of the log, and adds new topics, unless it is another log or one of a later protocol. */
const describe = (
  log: Table,
  topics: ReadonlyArray<string>,
  partitions: number,
  incarnation: Incarnation,
): LogFacts => {
  const stored = log.get(aboutKey)
  const known: LogFacts =
    stored === undefined ? { incarnation: incarnation, partitions, protocol, topics: {} } : parseFacts(text(stored))
  if (known.protocol > protocol || known.partitions !== partitions) return known
  const numbers = { ...known.topics }
  for (const topic of topics) numbers[topic] ??= Object.keys(numbers).length
  const facts = { ...known, topics: numbers }
  log.put(aboutKey, bytes(formatFacts(facts)))
  return facts
}

const makeLogStore = (
  store: LmdbStore["Service"],
  table: Table,
  commits: Table,
  facts: LogFacts,
): LocalLog.LogStore<StorageUnavailable> => {
  const encoder = new BlockEncoder()
  /** By partition, the size of everything that was ever appended, up to the last block. */
  const appended = new Map<string, number>()
  const number = (topic: string): number => {
    const known = facts.topics[topic]
    if (known === undefined) throw new Error(`the topic ${topic} has no number`)
    return known
  }

  /** The keys of the blocks of a partition from offset `from` on, the oldest first. */
  const keys = function* (topic: string, partition: number, from: number): Iterable<BlockKey> {
    const id = number(topic)
    const range = { start: prefix(id, partition, from), end: prefix(id, partition + 1, 0) }
    for (const key of table.keys(range)) yield decodeKey(key)
  }
  /** The newest block that begins below offset `below`. */
  const newest = (topic: string, partition: number, below: number): BlockKey | undefined => {
    const id = number(topic)
    const range = { start: prefix(id, partition, below), end: prefix(id, partition, 0), reverse: true, limit: 1 }
    for (const key of table.keys(range)) return decodeKey(key)
    return undefined
  }
  const oldest = (topic: string, partition: number): BlockKey | undefined => {
    for (const key of keys(topic, partition, 0)) return key
    return undefined
  }

  const put = (appends: ReadonlyArray<LocalLog.Append>): ReadonlyMap<string, number> => {
    const after = new Map<string, number>()
    for (const { block, partition, topic } of appends) {
      const name = `${partition} ${topic}`
      const bytes_before = after.get(name) ?? appended.get(name) ?? 0
      after.set(name, bytes_before + block.bytes)
      const { bytes, from, next } = block
      const timestamp = block.records.at(-1)?.timestamp ?? 0
      const key = { topic: number(topic), partition, from, next, timestamp, bytes_before, bytes }
      table.put(encodeKey(key), encoder.encode(block))
    }
    return after
  }

  return {
    incarnation: facts.incarnation,
    bounds: (topic, partition) =>
      store.read(() => {
        const last = newest(topic, partition, Number.MAX_SAFE_INTEGER)
        appended.set(`${partition} ${topic}`, last === undefined ? 0 : last.bytes_before + last.bytes)
        return { earliest: oldest(topic, partition)?.from ?? 0, end: last?.next ?? 0 }
      }),
    commits: store.read(() =>
      Array.from(commits.range(everything), ({ key, value }) => ({
        ...decodeCommitKey(key),
        ...decodeCommitted(text(value)),
      })),
    ),
    write: (appends, groupCommits) =>
      Effect.map(
        store.commit(() => {
          for (const commit of groupCommits) commits.put(encodeCommitKey(commit), bytes(encodeCommitted(commit)))
          return put(appends)
        }),
        (after) => {
          for (const [name, total] of after) appended.set(name, total)
        },
      ),
    read: (topic, partition, from, limits) =>
      store.read(() => {
        const first = newest(topic, partition, from + 1)
        const start = first !== undefined && first.next > from ? first.from : from
        const taken: Array<LocalLog.Block> = []
        let total = 0
        for (const key of keys(topic, partition, start)) {
          total += key.bytes
          if (taken.length > 0 && (total > limits.chunk_bytes || key.next - from > limits.chunk_records)) break
          const value = table.get(encodeKey(key))
          if (value === undefined) throw new Error(`the block at ${key.from} has a key and no value`)
          const records = decodeBlock(value, key.from, from)
          taken.push({ from: Math.max(key.from, from), next: key.next, bytes: key.bytes, records })
        }
        return taken
      }),
    retained: (topic, partition, retention, now_ms) =>
      store.read(() => {
        const last = newest(topic, partition, Number.MAX_SAFE_INTEGER)
        if (last === undefined) return 0
        const end = last.bytes_before + last.bytes
        const { retention_age_ms = Infinity, retention_bytes = Infinity } = retention
        let seen = 0
        for (const key of keys(topic, partition, 0)) {
          const isKept = end - key.bytes_before <= retention_bytes && now_ms - key.timestamp <= retention_age_ms
          if (isKept || key.from === last.from || ++seen > lmdbLogLimits.drop_blocks) return key.from
        }
        return last.from
      }),
    drop: (topic, partition, earliest) =>
      store.commit(() => {
        const id = number(topic)
        const gone = [...table.keys({ start: prefix(id, partition, 0), end: prefix(id, partition, earliest) })]
        for (const key of gone) table.remove(key)
      }),
  }
}

const CommitKey = Schema.fromJsonString(Schema.Tuple([Schema.String, Schema.String, Schema.Int]))
const decodeCommitTuple = Schema.decodeSync(CommitKey)

const encodeCommitKey = ({ group, partition, topic }: LocalLog.GroupCommit): Uint8Array =>
  bytes(JSON.stringify([topic, group, partition]))

const decodeCommitKey = (key: Uint8Array) => {
  const [topic, group, partition] = decodeCommitTuple(text(key))
  return { topic, group, partition }
}

const encodeCommitted = ({ metadata, next }: Committed): string => (metadata === "" ? `${next}` : `${next} ${metadata}`)

const decodeCommitted = (value: string): Committed => {
  const space = value.indexOf(" ")
  return space < 0
    ? { next: Number(value), metadata: "" }
    : { next: Number(value.slice(0, space)), metadata: value.slice(space + 1) }
}

const everything = { start: new Uint8Array([0]), end: new Uint8Array([255]) }

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
const text = (value: Uint8Array): string => new TextDecoder().decode(value)
const aboutKey = bytes("log")
