import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { LogUnavailable } from "../Errors.ts"
import { EventLog } from "./EventLog.ts"
import { layerMemory } from "./EventLogMemory.ts"
import { ClientId, EventId } from "../protocol/Ids.ts"
import * as Journey from "../protocol/Journey.ts"
import { chunkLimits } from "../Limits.ts"
import { partitionOf } from "../protocol/Partitioner.ts"
import { AddressedMessage, type Message, Publisher } from "./Publisher.ts"
import { RandomIds } from "./RandomIds.ts"
import { decodeEvent, roomOf } from "../protocol/Records.ts"
import * as TaskRecords from "../protocol/TaskRecords.ts"
import { Topics } from "./Topics.ts"

const partitions = 4
const log = layerMemory({ partitions }).pipe(Layer.provideMerge(Topics.layerDefault))
const layer = Publisher.layer.pipe(Layer.provideMerge(log))

describe("Publisher", () => {
  it.effect("sends a message as an event of type message, at the place that the receipt tells", () =>
    Effect.gen(function* () {
      const publisher = yield* Publisher
      yield* publisher.send(client("a"), message(1))
      const receipt = yield* publisher.send(client("a"), { id: EventId.make("m1"), name: "news", data: { n: 2 } })
      assert.strictEqual(receipt.id, "m1")
      assert.deepStrictEqual(yield* eventAt(client("a"), receipt.seq), {
        type: "message",
        id: EventId.make("m1"),
        name: "news",
        data: { n: 2 },
      })
    }).pipe(Effect.provide(layer)),
  )

  it.effect("makes an id of its own where the sender has none, another each time", () =>
    Effect.gen(function* () {
      const publisher = yield* Publisher
      const receipts = yield* publisher.sendAll(Array.from({ length: 100 }, () => addressed("a", 1)))
      assert.strictEqual(new Set(receipts.map(({ id }) => id)).size, 100)
      const event = yield* eventAt(client("a"), receipts[7]!.seq)
      assert.strictEqual("id" in event && event.id, receipts[7]!.id)
    }).pipe(Effect.provide(layer)),
  )

  it.effect("makes the same ids from the same source of ids", () =>
    Effect.gen(function* () {
      const publisher = yield* Publisher
      const send = publisher.send(client("a"), message(1)).pipe(Effect.provideService(RandomIds, { uuid: () => "7" }))
      assert.strictEqual((yield* send).id, "m-7")
      assert.strictEqual((yield* send).id, "m-7")
    }).pipe(Effect.provide(layer)),
  )

  it.effect.prop(
    "a batch is in the log where its receipts say, each client's part in its order",
    [batches],
    ([batch]) =>
      Effect.gen(function* () {
        const receipts = yield* (yield* Publisher).sendAll(batch)
        const found = yield* Effect.forEach(receipts, ({ seq }, i) => eventAt(batch[i]!.clientId, seq))
        assert.deepStrictEqual(
          found,
          batch.map(({ data, name }, i) => ({ type: "message", id: receipts[i]!.id, name, data: asJson(data) })),
        )
        for (const clientId of new Set(batch.map((message) => message.clientId))) {
          const seqs = receipts.flatMap(({ seq }, i) => (batch[i]!.clientId === clientId ? [seq] : []))
          assert.deepStrictEqual(
            seqs,
            seqs.toSorted((a, b) => a - b),
          )
        }
      }).pipe(Effect.provide(layer)),
  )

  it.effect("cancels the tasks of one client, by the ids of their events, in order", () =>
    Effect.gen(function* () {
      const { cancelAll } = yield* Publisher
      const ids = ["e1", "e2", "e1"].map((id) => EventId.make(id))
      const receipts = yield* cancelAll(client("a"), ids)
      assert.deepStrictEqual(
        receipts.map(({ id }) => id),
        ids,
      )
      const log = yield* EventLog
      const [chunk] = yield* log
        .tail((yield* Topics).events, partitionOf(client("a"), partitions), receipts[0]!.seq)
        .pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual<unknown>(
        chunk?.records.map(({ key, value }) => [key, Result.getOrThrow(TaskRecords.decodeTaskWrite(value))]),
        ids.map((id) => ["a", { task: id, do: "cancel", by: "client" }]),
      )
      assert.deepStrictEqual(yield* cancelAll(client("a"), []), [])
    }).pipe(Effect.provide(layer)),
  )

  it.effect("cancels nothing where one id is none, or there are too many, whatever the types say", () =>
    Effect.gen(function* () {
      const { cancelAll } = yield* Publisher
      const wrong: ReadonlyArray<EventId> = JSON.parse(`["e1","${"x".repeat(129)}"]`)
      const bad = yield* Effect.flip(cancelAll(client("a"), wrong))
      assert.deepInclude(bad, { _tag: "BadBatch", index: 1 })
      const many = Array.from({ length: chunkLimits.chunk_records + 1 }, () => EventId.make("e1"))
      assert.deepInclude(yield* Effect.flip(cancelAll(client("a"), many)), { _tag: "BadBatch" })
      const log = yield* EventLog
      assert.strictEqual(yield* log.end((yield* Topics).events, partitionOf(client("a"), partitions)), 0)
    }).pipe(Effect.provide(layer)),
  )

  it.effect("publishes no more at once than the topics take, and says which message is more than they ever take", () =>
    Effect.gen(function* () {
      const sound = yield* EventLog
      const published: Array<number> = []
      const publish_bytes = 40_000
      const narrow = EventLog.of({
        ...sound,
        facts: (topic) => ({ ...sound.facts(topic), publish_bytes }),
        publish: (topic, partition, records) => {
          published.push(records.reduce((sum, record) => sum + roomOf(record), 0))
          return sound.publish(topic, partition, records)
        },
      })
      const sendAll = (batch: ReadonlyArray<AddressedMessage>) =>
        Publisher.use((publisher) => publisher.sendAll(batch)).pipe(
          Effect.provide(Publisher.layer.pipe(Layer.provide(Layer.succeed(EventLog, narrow))), { local: true }),
        )
      const receipts = yield* sendAll(Array.from({ length: 9 }, () => addressed("a", "x".repeat(10_000))))
      assert.deepStrictEqual(
        receipts.map(({ seq }) => seq),
        [0, 1, 2, 3, 4, 5, 6, 7, 8],
      )
      assert.lengthOf(published, 3)
      for (const bytes of published) assert.isAtMost(bytes, publish_bytes)
      const refused = yield* Effect.flip(sendAll([addressed("a", 1), addressed("a", "x".repeat(publish_bytes))]))
      assert.propertyVal(refused, "_tag", "BadBatch")
      assert.propertyVal(refused, "index", 1)
      assert.lengthOf(published, 3)
    }).pipe(Effect.provide(log)),
  )

  it.effect("publishes once per partition", () =>
    Effect.gen(function* () {
      const published: Array<number> = []
      const sound = yield* EventLog
      const counting = EventLog.of({
        ...sound,
        publish: (topic, partition, records) => {
          published.push(partition)
          return sound.publish(topic, partition, records)
        },
      })
      const batch = Array.from({ length: 64 }, (_, i) => addressed(`c${i}`, i))
      yield* Publisher.use((publisher) => publisher.sendAll(batch)).pipe(
        Effect.provide(Publisher.layer.pipe(Layer.provide(Layer.succeed(EventLog, counting)))),
      )
      assert.deepStrictEqual(published.toSorted(), [0, 1, 2, 3])
    }).pipe(Effect.provide(log)),
  )

  it.effect("follows what its budget has room for, and more as time passes", () => {
    const sampledOf = (count: number) =>
      Effect.gen(function* () {
        const publisher = yield* Publisher
        const receipts = yield* publisher.sendAll(Array.from({ length: count }, (_, i) => addressed("a", i)))
        const steps = yield* Effect.forEach(receipts, ({ seq }) =>
          Effect.map(recordAt(client("a"), seq), ({ headers }) => Journey.steps(headers)),
        )
        return steps.filter((steps) => steps.length > 0)
      })
    return Effect.gen(function* () {
      const [first, ...more] = yield* sampledOf(5)
      assert.lengthOf(more, 1)
      assert.deepInclude(first?.[0], { service: "transport", instance: "d1", step: "accepted" })
      assert.strictEqual(first?.[0]?.details?.["rule"], Journey.rules.accepted)
      assert.lengthOf(yield* sampledOf(5), 0)
      yield* TestClock.adjust("500 millis")
      assert.lengthOf(yield* sampledOf(5), 1)
    }).pipe(
      Effect.provide(Publisher.layerWith({ journeys_per_second: 2, service: "transport", instance: "d1" })),
      Effect.provide(log),
    )
  })

  it.effect("an empty batch has no receipts", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* (yield* Publisher).sendAll([]), [])
    }).pipe(Effect.provide(layer)),
  )

  it.effect("refuses a batch with a message that does not fit, names it, and publishes nothing", () =>
    Effect.gen(function* () {
      const publisher = yield* Publisher
      const batch = [addressed("a", 1), { ...addressed("a", 2), name: "" }]
      const refused = yield* Effect.flip(publisher.sendAll(batch))
      assert.isTrue(refused.code === "BAD_BATCH" && refused.index === 1 && refused.reason.includes(`["name"]`))
      assert.strictEqual(yield* endOf(client("a")), 0)
    }).pipe(Effect.provide(layer)),
  )

  it.effect.each([
    ["a name too long", { name: "x".repeat(129), data: null }],
    ["an empty id", { id: "" as EventId, name: "n", data: null }],
    ["data that is no JSON", { name: "n", data: Number.NaN }],
  ] satisfies ReadonlyArray<[string, Message]>)("refuses %s", ([, message]) =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip((yield* Publisher).send(client("a"), message))
      assert.strictEqual(refused.code, "BAD_BATCH")
    }).pipe(Effect.provide(layer)),
  )

  it.effect("refuses more messages, and more bytes, than one chunk may have", () =>
    Effect.gen(function* () {
      const publisher = yield* Publisher
      const many = Array.from({ length: chunkLimits.chunk_records + 1 }, (_, i) => addressed("a", i))
      const large = [addressed("a", 1), addressed("a", "x".repeat(chunkLimits.chunk_bytes))]
      for (const batch of [many, large]) {
        assert.strictEqual((yield* Effect.flip(publisher.sendAll(batch))).code, "BAD_BATCH")
      }
      assert.strictEqual((yield* publisher.sendAll(many.slice(1))).length, chunkLimits.chunk_records)
    }).pipe(Effect.provide(layer)),
  )

  it.effect("says so where the log does not take it", () =>
    Effect.gen(function* () {
      const down = new LogUnavailable({ topic: "t", operation: "publish", cause: "down" })
      const failing = EventLog.of({ ...(yield* EventLog), publish: () => Effect.fail(down) })
      const refused = yield* Publisher.use((publisher) => publisher.send(client("a"), message(1))).pipe(
        Effect.provide(Publisher.layer.pipe(Layer.provide(Layer.succeed(EventLog, failing)))),
        Effect.flip,
      )
      assert.strictEqual(refused, down)
    }).pipe(Effect.provide(log)),
  )
})

const batches = Schema.Array(AddressedMessage)

const client = (id: string) => ClientId.make(id)
const message = (data: Schema.Json): Message => ({ name: "news", data })
const addressed = (id: string, data: Schema.Json): AddressedMessage => ({ clientId: client(id), ...message(data) })

/** As JSON writes it: -0 is 0. */
const asJson = (data: Schema.Json): Schema.Json => JSON.parse(JSON.stringify(data))

const endOf = (clientId: ClientId) =>
  Effect.gen(function* () {
    return yield* (yield* EventLog).end((yield* Topics).events, partitionOf(clientId, partitions))
  })

const recordAt = Effect.fnUntraced(function* (clientId: ClientId, seq: number) {
  const log = yield* EventLog
  const chunk = yield* Stream.runHead(log.tail((yield* Topics).events, partitionOf(clientId, partitions), seq))
  const record = Option.getOrThrow(chunk).records[0]!
  assert.deepStrictEqual([record.key, record.offset], [clientId, seq])
  return record
})

const eventAt = (clientId: ClientId, seq: number) =>
  Effect.map(recordAt(clientId, seq), ({ value }) => Result.getOrThrow(decodeEvent(value)))
