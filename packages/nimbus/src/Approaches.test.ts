/** The transports of NimbusWS on all of Nimbus: clients that know nothing of seqs and acks, cut off and back again. */
import { assert, describe, it } from "@effect/vitest"
import { LmdbEventLog, LmdbMailbox, LmdbStore } from "@nimbus/adapters/lmdb"
import { autoAckLimits } from "@nimbus/domain/limits"
import { ClientId, Epoch, Incarnation, partitionOf, start } from "@nimbus/domain/protocol"
import {
  ClientOffsets,
  EventLog,
  EventLogMemory,
  Handlers,
  Mailbox,
  MailboxMemory,
  Publisher,
  Topics,
} from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { PlainClient } from "@nimbus/gateway/testing"
import { Effect, Layer, Schema, type Scope } from "effect"
import type { HttpServer } from "effect/http"
import * as Nimbus from "./Nimbus.ts"
import { comeBack, converse } from "./testing/nimbusWsStory.ts"
import { temporaryDirectory } from "./testing/Processes.ts"

const approaches = ["approach2", "approach3"] as const
type Path = `${(typeof approaches)[number]}/events`

/** What was sent is acknowledged soon: these tests are not about how long it takes. */
const soon = { auto_ack: { ...autoAckLimits, quiet_ms: 100, look_ms: 20 } }

const nimbus = Publisher.layer.pipe(
  Layer.provideMerge(Nimbus.layerMemory({ host: "127.0.0.1", port: 0, limits: soon })),
  Layer.provide(Handlers.layer(Handlers.samples)),
)

/** A results topic that keeps next to nothing. */
const forgetful = Publisher.layer.pipe(
  Layer.provideMerge(
    Nimbus.layerAt(
      { host: "127.0.0.1", port: 0 },
      Layer.merge(
        EventLogMemory.layerMemory({
          partitions: 1,
          retentionByTopic: { "nimbus-results-v1": { retention_bytes: 2_000 } },
          limits: { retention_every_ms: 5 },
        }),
        MailboxMemory.layerMemory(),
      ),
    ),
  ),
  Layer.provide(Handlers.layer(Handlers.samples)),
)

/** Nimbus as `npm start` has it, on a directory. */
const onDisk = (directory: string) =>
  Nimbus.layerAt(
    { host: "127.0.0.1", port: 0 },
    Layer.mergeAll(LmdbEventLog.layer, LmdbMailbox.layer).pipe(Layer.provide(LmdbStore.layerWith({ directory }))),
  ).pipe(Layer.provide(Handlers.layer(Handlers.samples)))

type Services = Layer.Success<typeof nimbus> | HttpServer.HttpServer

const scenario = (name: string, test: Effect.Effect<void, unknown, Services | Scope.Scope>) =>
  it.live(name, () => test.pipe(Effect.scoped, Effect.provide(nimbus, { local: true })))

const id = ClientId.make("c1")

const connect = (path: Path, clientId: ClientId = id) =>
  Effect.flatMap(Nimbus.url, (url) => PlainClient.connect(`${url}/${path}?clientId=${clientId}&frames=all`))

/** The numbers from `first` to `last`, as messages of another service. */
const publish = Effect.fnUntraced(function* (first: number, last: number, padding = 0, clientId: ClientId = id) {
  const { sendAll } = yield* Publisher
  for (let from = first; from <= last; from += 500) {
    const count = Math.min(500, last - from + 1)
    const note = (_: unknown, i: number) => ({ clientId, name: "note", data: [from + i, "x".repeat(padding)] })
    yield* sendAll(Array.from({ length: count }, note))
  }
})

const Note = Schema.Tuple([Schema.Int, Schema.String])
const numbers = (client: PlainClient.PlainClient): ReadonlyArray<number> =>
  client.results().map(({ data }) => Schema.decodeUnknownSync(Note)(data)[0])
const oneTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

const has = (client: PlainClient.PlainClient, count: number) =>
  eventually(
    `${count} results`,
    Effect.sync(() => client.results().length >= count),
    60_000,
  )

const isLive = (client: PlainClient.PlainClient) =>
  eventually(
    "LIVE",
    Effect.sync(() => client.status() === "LIVE"),
  )

/** The pongs for everything that the client has are back. */
const isAcknowledged = (client: PlainClient.PlainClient, clientId: ClientId = id) =>
  eventually(
    "everything is acknowledged",
    Effect.map(
      Effect.flatMap(Mailbox, (mailbox) => mailbox.stats(clientId)),
      ({ acked }) => acked >= (client.results().at(-1)?.seq ?? start),
    ),
  )

/** As if Redis had lost it. */
const loseOffset = Effect.gen(function* () {
  const { save } = yield* ClientOffsets
  const nobody = { epoch: Epoch.make(1), log: Incarnation.make("no log"), offset: 0, seq: start }
  yield* save([{ clientId: id, ...nobody }])
})

/** Events as an older version wrote them to the log, whose results are in the mailbox as they were written then. */
const olderRecords = Effect.gen(function* () {
  const [log, { stats }, { events }] = [yield* EventLog, yield* Mailbox, yield* Topics]
  const record = (n: number) => ({
    key: id,
    value: Buffer.from(`{"type":"event","id":"e${n}","name":"event","data":${n}}`),
  })
  yield* log.publish(events, partitionOf(id, log.partitions), [record(1), record(2)])
  yield* eventually(
    "the mailbox has their results",
    Effect.map(stats(id), ({ results }) => results === 2),
  )
  const { records } = yield* (yield* Mailbox).page(id, start, { results: 2, bytes: 1_000 })
  const written = records.map(({ value }) => Buffer.from(value).toString())
  assert.deepStrictEqual(
    written,
    [1, 2].map((n) => `{"seq":${n - 1},"id":"e${n}","name":"event","data":${n}}`),
  )
})

/** A connection that takes `count` results, acknowledges them, and is cut off: the numbers. */
const session = (path: Path, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* connect(path)
      yield* has(client, count)
      yield* isAcknowledged(client)
      client.cut()
      return numbers(client)
    }),
  )

for (const approach of approaches) {
  const path: Path = `${approach}/events`
  describe(approach, () => {
    scenario(
      "echoes plain events to their sender, in order",
      Effect.gen(function* () {
        const client = yield* connect(path)
        for (const number of oneTo(200)) client.event([number, ""])
        yield* has(client, 200)
        assert.deepStrictEqual(numbers(client), oneTo(200))
        yield* eventually(
          "it is told that all are accepted",
          Effect.sync(() => client.accepted() === 200),
        )
      }),
    )

    scenario(
      "is cut off, results pile up, it returns, gets what it missed, and is LIVE",
      Effect.gen(function* () {
        yield* publish(1, 100)
        const first = yield* session(path, 100)
        yield* publish(101, 1_000)
        const client = yield* connect(path)
        yield* has(client, 900)
        yield* isLive(client)
        yield* publish(1_001, 1_100)
        yield* has(client, 1_000)
        assert.deepStrictEqual([...first, ...numbers(client)], oneTo(1_100))
        yield* isAcknowledged(client)
        yield* eventually(
          "the mailbox is empty",
          Effect.map(
            Effect.flatMap(Mailbox, (mailbox) => mailbox.stats(id)),
            ({ results }) => results === 0,
          ),
        )
      }),
    )

    scenario(
      "says what NimbusWS says, field by field, live and after a reconnect",
      Effect.gen(function* () {
        const at = `${yield* Nimbus.url}/${path}`
        yield* comeBack(at, "wscat", yield* converse(at, "wscat"))
      }),
    )

    it.live("says the same after a restart, from what is on disk", () =>
      Effect.gen(function* () {
        const nimbus = onDisk(yield* temporaryDirectory)
        const at = Effect.map(Nimbus.url, (url) => `${url}/${path}`)
        const had = yield* Effect.provide(
          Effect.flatMap(at, (url) => converse(url, "wscat")),
          nimbus,
          { local: true },
        )
        yield* Effect.provide(
          Effect.flatMap(at, (url) => comeBack(url, "wscat", had)),
          nimbus,
          { local: true },
        )
      }).pipe(Effect.scoped),
    )

    scenario(
      "delivers what an older version left in the log and the mailbox, which does not say when",
      Effect.gen(function* () {
        yield* olderRecords
        const client = yield* connect(path)
        yield* has(client, 2)
        assert.deepStrictEqual(
          client.results().map(({ data }) => data),
          [1, 2],
        )
        for (const { data, finished_at, payload } of client.frames.filter(
          ({ type }) => type === "processed_finished",
        )) {
          assert.deepInclude(payload, { type: "event_processed_successfully", completed_at: finished_at })
          assert.deepInclude(payload, {
            payload: {
              type: "event_accepted",
              event_id: `e${String(data)}`,
              client_id: id,
              status: "Event accepted",
              created_at: finished_at,
              data,
            },
          })
        }
      }),
    )

    scenario(
      "gets error results as results",
      Effect.gen(function* () {
        const client = yield* connect(path)
        client.send({ type: "event", name: "no such handler", data: 1 })
        yield* has(client, 1)
        assert.strictEqual(client.results()[0]?.error?.code, "UNKNOWN_EVENT")
      }),
    )

    scenario(
      "a client that does not read is left behind and holds up nobody, then gets the rest in order",
      Effect.gen(function* () {
        const [slow, quick] = [yield* connect(path), yield* connect(path, ClientId.make("c2"))]
        yield* isLive(slow)
        slow.ws.pause()
        yield* publish(1, 20_000, 1_000)
        quick.event([1, ""])
        yield* has(quick, 1)
        slow.ws.resume()
        yield* has(slow, 20_000)
        yield* isLive(slow)
        assert.deepStrictEqual(numbers(slow), oneTo(20_000))
      }),
    )

    for (const other of approaches) {
      scenario(
        `is superseded by a newer connection at ${other}`,
        Effect.gen(function* () {
          const older = yield* connect(path)
          yield* older.first("welcome")
          const newer = yield* connect(`${other}/events`)
          assert.deepStrictEqual(yield* older.closed, { code: 4500, reason: "SUPERSEDED" })
          yield* publish(1, 10)
          yield* has(newer, 10)
          assert.deepStrictEqual(numbers(newer), oneTo(10))
        }),
      )
    }
  })
}

describe("approach2", () => {
  const path = "approach2/events"

  scenario(
    "starts from the mailbox where its offset is lost, with no gap and no repeat",
    Effect.gen(function* () {
      yield* publish(1, 50)
      const first = yield* session(path, 50)
      yield* publish(51, 600)
      yield* loseOffset
      const client = yield* connect(path)
      yield* publish(601, 1_000)
      yield* has(client, 950)
      yield* isLive(client)
      assert.deepStrictEqual([...first, ...numbers(client)], oneTo(1_000))
    }),
  )

  it.live("gets from the mailbox what the results topic retains no more", () =>
    Effect.gen(function* () {
      yield* publish(1, 50)
      const first = yield* session(path, 50)
      for (const from of oneTo(20)) yield* publish(from * 50 + 1, from * 50 + 50, 100)
      const client = yield* connect(path)
      yield* has(client, 1_000)
      yield* isLive(client)
      yield* publish(1_051, 1_100)
      yield* has(client, 1_050)
      assert.deepStrictEqual([...first, ...numbers(client)], oneTo(1_100))
    }).pipe(Effect.scoped, Effect.provide(forgetful, { local: true })),
  )
})

describe("one client at several transports, one after the other", () => {
  for (const order of [
    ["approach2", "approach3", "approach2"],
    ["approach3", "approach2", "approach3"],
    ["approach2", "approach2", "approach3", "approach3", "approach2"],
  ] as const) {
    scenario(
      `gets each result once: ${order.join(", ")}`,
      Effect.gen(function* () {
        const got: Array<number> = []
        for (const [i, approach] of order.entries()) {
          yield* publish(i * 200 + 1, i * 200 + 200)
          got.push(...(yield* session(`${approach}/events`, 200)))
        }
        assert.deepStrictEqual(got, oneTo(order.length * 200))
      }),
    )
  }
})
