/**
 * The log in memory: for tests, for embedding, and as the fault-free ground of simulations. Gone with its scope.
 */
import { Effect, Layer } from "effect"
import { EventLog } from "./EventLog.ts"
import { Incarnation } from "../protocol/Ids.ts"
import { type LocalLogLimits, memoryLogLimits } from "../Limits.ts"
import { type Block, slice } from "./local/Block.ts"
import { Fifo } from "./local/Fifo.ts"
import { type LogStore, make, type Retention } from "./LocalLog.ts"
import { RandomIds } from "./RandomIds.ts"
import { retentionsOf, Topics } from "./Topics.ts"

/** How large the log is, and how long it keeps records. */
export interface EventLogMemoryOptions {
  /** The partition count of each topic. */
  readonly partitions?: number | undefined
  /** Of every topic; by default `memoryLogLimits.retention_bytes` and no age. */
  readonly retention?: Retention | undefined
  /** Of some topics in particular. */
  readonly retentionByTopic?: Readonly<Record<string, Retention>> | undefined
  /** By default a random one. */
  readonly incarnation?: Incarnation | undefined
  readonly limits?: Partial<LocalLogLimits> | undefined
}

/** With the topics of the `Topics` service. */
export const layerMemory = (options?: EventLogMemoryOptions): Layer.Layer<EventLog, never, Topics> =>
  Layer.effect(
    EventLog,
    Topics.use((topics) => {
      const retentionByTopic = { ...retentionsOf(topics), ...options?.retentionByTopic }
      return makeMemory(Object.values(topics), { ...options, retentionByTopic })
    }),
  )

/** With topics of one's own. */
export const layerMemoryWith = (
  options: EventLogMemoryOptions & { readonly topics: ReadonlyArray<string> },
): Layer.Layer<EventLog> => Layer.effect(EventLog, makeMemory(options.topics, options))

const makeMemory = Effect.fnUntraced(function* (topics: ReadonlyArray<string>, options: EventLogMemoryOptions = {}) {
  const { incarnation, limits, partitions = memoryLogLimits.partitions, retention = memoryLogLimits } = options
  return yield* make(memoryStore(incarnation ?? Incarnation.make(`memory-${(yield* RandomIds).uuid()}`)), {
    topics,
    partitions,
    retention: { ...Object.fromEntries(topics.map((topic) => [topic, retention])), ...options.retentionByTopic },
    // The store is as near as a cache would be.
    limits: { ...limits, tail_cache_bytes: 0 },
  })
})

/** The blocks of one partition. */
class Blocks extends Fifo<Block> {
  bytes = 0

  get bounds() {
    return this.length === 0
      ? { earliest: 0, end: 0 }
      : { earliest: this.at(0).from, end: this.at(this.length - 1).next }
  }

  append(block: Block): void {
    this.push(block)
    this.bytes += block.bytes
  }

  drop(earliest: number): void {
    for (let block = this.peek(); block !== undefined && block.next <= earliest; block = this.peek()) {
      this.bytes -= block.bytes
      this.shift()
    }
  }

  retained({ retention_age_ms = Infinity, retention_bytes = Infinity }: Retention, now_ms: number): number {
    let bytes = this.bytes
    let i = 0
    for (; i < this.length - 1; i++) {
      const block = this.at(i)
      if (bytes <= retention_bytes && now_ms - publishedLast(block) <= retention_age_ms) break
      bytes -= block.bytes
    }
    return this.length === 0 ? 0 : this.at(i).from
  }
}

const publishedLast = (block: Block): number => block.records.at(-1)?.timestamp ?? 0

const memoryStore = (incarnation: Incarnation): LogStore<never> => {
  const stored = new Map<string, Blocks>()
  const blocksOf = (topic: string, partition: number): Blocks => {
    const key = `${partition} ${topic}`
    const known = stored.get(key)
    if (known !== undefined) return known
    const blocks = new Blocks()
    stored.set(key, blocks)
    return blocks
  }
  return {
    incarnation,
    bounds: (topic, partition) => Effect.sync(() => blocksOf(topic, partition).bounds),
    commits: Effect.succeed([]),
    write: (appends) =>
      Effect.sync(() => {
        for (const { block, partition, topic } of appends) blocksOf(topic, partition).append(block)
      }),
    read: (topic, partition, from, limits) => Effect.sync(() => slice(blocksOf(topic, partition), from, limits)),
    retained: (topic, partition, retention, now_ms) =>
      Effect.sync(() => blocksOf(topic, partition).retained(retention, now_ms)),
    drop: (topic, partition, earliest) => Effect.sync(() => blocksOf(topic, partition).drop(earliest)),
  }
}
