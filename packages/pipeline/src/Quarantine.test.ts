/** Every consumer quarantines what other producers wrote and nobody can take, with why, and goes on. */
import { assert, describe, it } from "@effect/vitest"
import { type LogRecord, partitionOf } from "@nimbus/domain/protocol"
import { Archive, ArchiveMemory, EventLog, Handlers, Topics } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import * as EventConsumer from "./EventConsumer.ts"
import * as Quarantine from "./Quarantine.ts"
import * as ReplayConsumer from "./ReplayConsumer.ts"
import * as ResultConsumer from "./ResultConsumer.ts"
import * as StorageWriter from "./StorageWriter.ts"
import {
  append,
  event,
  eventually,
  hasRecords,
  Hooks,
  inTestEnvironment,
  raw,
  result,
  start,
  textOf,
} from "./testing/TestEnvironment.ts"
import { quickLimits } from "./testing/Limits.ts"

const reason = "a batch that can't be read: its checksum is wrong"
const unreadable = raw("", "bytes of a batch")

const run = {
  events: start(Layer.provide(EventConsumer.layerWith(quickLimits), Handlers.layer(Handlers.samples))),
  results: start(ResultConsumer.layerWith(quickLimits)),
  dlq: start(ReplayConsumer.layerWith(quickLimits)),
  chats: start(
    StorageWriter.layerWith({ ...quickLimits, gather_ms: 1 }).pipe(
      Layer.provide(Layer.sync(Archive, () => ArchiveMemory.makeMemory())),
    ),
  ),
}

/** What the consumer of a topic sends to quarantine, as `reason: value`. */
const quarantined = Effect.fnUntraced(function* (kind: keyof typeof run, ...records: ReadonlyArray<LogRecord>) {
  const topics = yield* Topics
  const hooks = yield* Hooks
  hooks.given = (record) => (textOf(record) === textOf(unreadable) ? { ...record, unreadable: reason } : record)
  yield* append(topics[kind], ...records)
  yield* run[kind]
  return (yield* hasRecords(topics.quarantine, 1)).map(
    (record) => `${record.headers?.[Quarantine.headers.reason]}: ${textOf(record)}`,
  )
})

describe("What can't be read", () => {
  for (const kind of ["events", "results", "dlq", "chats"] as const) {
    it.live(`of the ${kind} topic goes to quarantine with the reason`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* quarantined(kind, unreadable), [`${reason}: ${textOf(unreadable)}`])
      }).pipe(inTestEnvironment()),
    )
  }

  for (const kind of ["results", "dlq"] as const) {
    it.live(`and a record of the ${kind} topic without the key of a client: there is no mailbox for it`, () =>
      Effect.gen(function* () {
        const keyless = { ...result("a", 1), key: "" }
        assert.deepStrictEqual(yield* quarantined(kind, result("a", 0), keyless, result("a", 2)), [
          `the key is no client id: ${textOf(keyless)}`,
        ])
      }).pipe(inTestEnvironment()),
    )
  }

  it.live("and an event in a partition that is not its client's, whose seqs would mean something else there", () =>
    Effect.gen(function* () {
      const { results } = yield* Topics
      const partitions = (yield* EventLog).partitions
      const clients = Array.from({ length: 100 }, (_, i) => `c${i}`)
      const home = clients.find((name) => partitionOf(name, partitions) === 0)!
      const stranger = clients.find((name) => partitionOf(name, partitions) === 1)!
      const [stray] = yield* quarantined(
        "events",
        event(stranger, "e1", "sq", { number: 1 }),
        event(home, "e2", "sq", 1),
      )
      assert.match(stray!, /^the key belongs to partition 1: its producer has another partitioner than murmur2: /)
      yield* eventually(
        "the other has its result",
        Effect.map(hasRecords(results, 1), ([first]) => first?.key === home),
      )
    }).pipe(inTestEnvironment({ partitions: 2 })),
  )
})
