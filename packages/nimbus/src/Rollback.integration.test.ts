/**
 * Mailboxes on a Redis that is emptied, or comes back with an older state, while the replay consumer fills them and
 * clients read: each client that remembers its last seq sees every result once, in order.
 */
import { assert, describe, it } from "@effect/vitest"
import { RedisConnection, RedisMailbox, RedisPodChannel, RedisRegistry } from "@nimbus/adapters/redis"
import { ClientId, type Cursor, encodeResult, EventId, partitionOf, Seq, start } from "@nimbus/domain/protocol"
import { EventLog, EventLogMemory, Mailbox, Topics } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { ReplayConsumer } from "@nimbus/pipeline"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { type Services, startServices } from "../../../scripts/services/Services.ts"

const partitions = 2
const clients = Array.from({ length: 6 }, (_, i) => ClientId.make(`c${i}`))

const services = Effect.acquireRelease(
  Effect.promise(() => startServices(["redis"])),
  (services) => Effect.promise(() => services.stop()),
)

const layerOn = (redis: Services) => {
  const [host = "", port = ""] = redis.get("redis").address.split(":")
  const nodes = [{ host, port: Number(port) }] as const
  const connection = RedisConnection.layerWith({ nodes, tls: false, db: 0, prefix: "nimbus" })
  const stores = Layer.mergeAll(RedisMailbox.layer, RedisRegistry.layer, RedisPodChannel.layerWith({}))
  const log = EventLogMemory.layerMemory({ partitions }).pipe(Layer.provideMerge(Topics.layerDefault))
  return ReplayConsumer.layer.pipe(Layer.provideMerge(stores), Layer.provideMerge(connection), Layer.provideMerge(log))
}

type Sent = ReadonlyMap<ClientId, Array<number>>

/** Every client gets so many results more, in chunks, as events that were handled and diverted. */
const publish = Effect.fnUntraced(function* (sent: Sent, count: number) {
  const log = yield* EventLog
  const { dlq, events } = yield* Topics
  for (let i = 0; i < count; i++) {
    for (let partition = 0; partition < partitions; partition++) {
      const own = clients.filter((clientId) => partitionOf(clientId, partitions) === partition)
      const values = own.map((key) => ({ key, value: new Uint8Array(0) }))
      const first = yield* log.publish(events, partition, values)
      const results = own.map((key, at) => ({
        key,
        value: encodeResult({ seq: Seq.make(first + at), id: EventId.make(`e${first + at}`), name: "n", data: null }),
      }))
      yield* log.publish(dlq, partition, results)
      for (let at = 0; at < own.length; at++) sent.get(own[at]!)?.push(first + at)
    }
  }
})

/** A client with a memory: reads on from its last seq, and acknowledges periodically. */
const makeReader = (clientId: ClientId) => {
  const seen: Array<number> = []
  let after: Cursor = start
  const read = Effect.gen(function* () {
    const mailbox = yield* Mailbox
    const page = yield* mailbox.page(clientId, after, { results: 7, bytes: 10_000 })
    for (const { seq } of page.records) seen.push(seq)
    after = page.records.at(-1)?.seq ?? after
    if (seen.length % 3 === 0 && after >= 0) yield* mailbox.ack([{ clientId, seq: after }])
  }).pipe(Effect.ignore)
  return { clientId, seen, read }
}

describe.skipIf(inject("services").redis === undefined)("mailboxes on a Redis that loses its data", () => {
  const withFaults = (
    sentence: string,
    faults: (redis: Services) => ReadonlyArray<Effect.Effect<void, unknown, RedisConnection>>,
  ) =>
    it.live(sentence, () =>
      Effect.gen(function* () {
        const sent: Sent = new Map(clients.map((clientId) => [clientId, []]))
        const redis = yield* services
        const readers = clients.map(makeReader)
        const readAll = Effect.forEach(readers, ({ read }) => read, { concurrency: "unbounded", discard: true })
        const caughtUp = Effect.sync(() =>
          readers.every(({ clientId, seen }) => seen.length >= (sent.get(clientId)?.length ?? 0)),
        )
        yield* Effect.gen(function* () {
          for (const fault of [Effect.void, ...faults(redis)]) {
            yield* publish(sent, 50)
            yield* Effect.repeat(readAll, { times: 3 })
            yield* fault
            yield* publish(sent, 10)
            yield* eventually("all is read", Effect.andThen(readAll, caughtUp), 60_000)
          }
          for (const { clientId, seen } of readers) assert.deepStrictEqual(seen, sent.get(clientId), clientId)
        }).pipe(Effect.provide(layerOn(redis)))
      }),
    )

  const command = (...words: ReadonlyArray<string>) =>
    Effect.flatMap(RedisConnection, (connection) => connection.command(words[0]!, words.slice(1), () => {}))

  /** It comes back with what was saved last, or with nothing. */
  const crash = (redis: Services) =>
    Effect.promise(async () => {
      await redis.get("redis").kill()
      await redis.get("redis").start()
    })

  withFaults("loses no result when it is emptied", () => [command("flushall"), command("flushall")])

  withFaults("loses no result when it is killed and comes back empty", (redis) => [crash(redis), crash(redis)])

  withFaults("loses no result when it comes back with an older state", (redis) => {
    const rollBack = crash(redis)
    return [command("save"), rollBack, rollBack, command("save"), rollBack]
  })
})
