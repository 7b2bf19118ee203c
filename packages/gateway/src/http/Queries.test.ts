import { assert, layer } from "@effect/vitest"
import { ArchiveUnavailable } from "@nimbus/domain/errors"
import { escapeName, Incarnation, openLife, openRoom, RoomId } from "@nimbus/domain/protocol"
import { Archive, archiveKeyOf, ArchiveMemory } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { FetchHttpClient, HttpClient, HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import { readLimits } from "../Limits.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

const incarnation = Incarnation.make("log-2")

const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
  Layer.provideMerge(MemoryParts.layerWith({ partitions: 1, incarnation })),
  Layer.provideMerge(FetchHttpClient.layer),
)

const get = (path: string) =>
  HttpServer.addressFormattedWith((address) =>
    Effect.flatMap(HttpClient.get(`${address}${path}`), (response) =>
      Effect.map(response.json, (json) => ({ status: response.status, json })),
    ),
  )

const result = (seq: number) => ({ seq, id: `e${seq}`, name: "sq", data: { result: seq * seq } })
const rows = (key: string, values: ReadonlyArray<readonly [place: number, value: unknown]>) =>
  values.map(([place, value]) => ({ key, place, timestamp: 1_790_000_000_000, value: JSON.stringify(value) }))

const rooms = [
  "Küche",
  "a b",
  "a/b",
  "a%2Fb",
  "%",
  "😀",
  "\0\n",
  "__proto__",
  "?#&",
  "x".repeat(256),
  "\u0085".repeat(256),
]

const archive = Layer.effect(
  Archive,
  Effect.gen(function* () {
    const archive = ArchiveMemory.makeMemory()
    const results = { incarnation, kind: "results", partition: 0 } as const
    const messages = { ...results, kind: "messages" } as const
    const before = { ...results, incarnation: Incarnation.make("log-1") }
    const seqs = Array.from({ length: 250 }, (_, i) => i * 2)
    yield* archive.write({
      source: results,
      records: rows(
        "c1",
        seqs.map((seq) => [seq, result(seq)]),
      ),
      position: 0,
    })
    yield* archive.write({ source: before, records: rows("c1", [[7, result(7)]]), position: 0 })
    const said = [
      [3, { id: "m1", sender: "s1", data: "hello" }],
      [5, { temperature: 21.5 }],
    ] as const
    yield* archive.write({ source: messages, records: rows("r1", said), position: 0 })
    for (const room of rooms) {
      const wrapped = { id: null, sender: null, data: { id: "m", sender: "s", data: room } }
      yield* archive.write({
        source: messages,
        records: rows(archiveKeyOf(RoomId.make(room)), [[1, wrapped]]),
        position: 0,
      })
    }
    yield* archive.write({ source: messages, records: rows("r1#2", [[3, { no: "key" }]]), position: 0 })
    const open = { ...messages, incarnation: openLife(incarnation) }
    yield* archive.write({ source: open, records: rows(openRoom, [[3, "to all"]]), position: 0 })
    return archive
  }),
)

layer(gateway.pipe(Layer.provide(archive)), { excludeTestServices: true })("queries of the archive", (it) => {
  it.effect(
    "GET /v1/clients/:clientId/results gives a client's results page by page, and `next` leads through them",
    () =>
      Effect.gen(function* () {
        const seqs: Array<number> = []
        let next: number | null = -1
        const lengths: Array<number> = []
        while (next !== null) {
          const { json, status } = yield* get(`/v1/clients/c1/results?after=${next}&limit=120`)
          assert.strictEqual(status, 200)
          const page: { incarnation: string; results: ReadonlyArray<ReturnType<typeof result>>; next: number | null } =
            Object(json)
          assert.strictEqual(page.incarnation, incarnation)
          for (const one of page.results) {
            assert.deepStrictEqual(one, result(one.seq))
            seqs.push(one.seq)
          }
          lengths.push(page.results.length)
          next = page.next
        }
        assert.deepStrictEqual(lengths, [120, 120, 10])
        assert.deepStrictEqual(
          seqs,
          Array.from({ length: 250 }, (_, i) => i * 2),
        )
      }),
  )

  it.effect("gives 100 where no limit is named, and nothing of a client it does not know", () =>
    Effect.gen(function* () {
      const { json } = yield* get("/v1/clients/c1/results")
      assert.strictEqual(Object(json).results.length, 100)
      assert.strictEqual(Object(json).next, 198)
      const nobody = yield* get("/v1/clients/nobody/results")
      assert.deepStrictEqual(nobody, { status: 200, json: { incarnation, results: [], next: null } })
    }),
  )

  it.effect("gives what an earlier life of the topics left, if it is named", () =>
    Effect.gen(function* () {
      const { json } = yield* get("/v1/clients/c1/results?incarnation=log-1")
      assert.deepStrictEqual(json, { incarnation: "log-1", results: [result(7)], next: null })
    }),
  )

  it.effect(
    "GET /v1/rooms/:room/messages gives a room's messages with their offsets, those of other services too",
    () =>
      Effect.gen(function* () {
        const { json } = yield* get("/v1/rooms/r1/messages?limit=1")
        const timestamp = 1_790_000_000_000
        const hello = { offset: 3, timestamp, room: "r1", id: "m1", sender: "s1", data: "hello" }
        assert.deepStrictEqual(json, { incarnation, messages: [hello], next: 3 })
        const more = yield* get("/v1/rooms/r1/messages?after=3")
        const foreign = { offset: 5, timestamp, room: "r1", data: { temperature: 21.5 } }
        assert.deepStrictEqual(more.json, { incarnation, messages: [foreign], next: null })
      }),
  )

  it.effect("GET /v1/open/messages gives those of the open chat", () =>
    Effect.gen(function* () {
      const { json } = yield* get("/v1/open/messages")
      const message = { offset: 3, timestamp: 1_790_000_000_000, room: openRoom, data: "to all" }
      assert.deepStrictEqual(json, { incarnation: openLife(incarnation), messages: [message], next: null })
    }),
  )

  it.effect("every room can be asked for, as it is and as its key has it, and is told apart from all others", () =>
    Effect.gen(function* () {
      for (const room of rooms) {
        for (const name of [encodeURIComponent(room), escapeName(room)]) {
          const { json } = yield* get(`/v1/rooms/${name}/messages`)
          const message = { offset: 1, timestamp: 1_790_000_000_000, room, data: { id: "m", sender: "s", data: room } }
          assert.deepStrictEqual(json, { incarnation, messages: [message], next: null }, name)
        }
      }
    }),
  )

  it.effect("gives the messages of a room that stand beside its history, by partition", () =>
    Effect.gen(function* () {
      const { json } = yield* get("/v1/rooms/r1/messages?partition=2")
      const message = { offset: 3, timestamp: 1_790_000_000_000, room: "r1", data: { no: "key" } }
      assert.deepStrictEqual(json, { incarnation, messages: [message], next: null })
    }),
  )

  for (const path of [
    "/v1/clients/a%20b/results",
    "/v1/clients/c1/results?after=x",
    "/v1/clients/c1/results?after=-2",
    ...["", "%20", "0x10", "1e2", "%2B1", "%201", "01"].flatMap((number) => [
      `/v1/clients/c1/results?after=${number}`,
      `/v1/clients/c1/results?limit=${number}`,
    ]),
    "/v1/clients/c1/results?after=1&after=1",
    "/v1/clients/c1/results?limit=0",
    "/v1/clients/c1/results?limit=1001",
    "/v1/clients/c1/results?limit=1.5",
    "/v1/clients/c1/results?incarnation=",
    `/v1/rooms/${"x".repeat(257)}/messages`,
    `/v1/clients/${"x".repeat(129)}/results`,
    "/v1/rooms/r1/messages?partition=-1",
    "/v1/rooms/r1/messages?after=1e400",
  ]) {
    it.effect(`refuses ${path} with 400 and BAD_REQUEST`, () =>
      Effect.gen(function* () {
        const { json, status } = yield* get(path)
        assert.strictEqual(status, 400)
        assert.strictEqual(Object(json).code, "BAD_REQUEST")
        assert.isNotEmpty(Object(json).message)
      }),
    )
  }
})

const away = Layer.succeed(Archive, {
  ...ArchiveMemory.makeMemory(),
  page: () => Effect.fail(new ArchiveUnavailable({ store: "test", operation: "page", cause: "told to fail" })),
})

layer(gateway.pipe(Layer.provide(away)), { excludeTestServices: true })("an archive that is away", (it) => {
  it.effect("is told with 503, and the server goes on", () =>
    Effect.gen(function* () {
      const { json, status } = yield* get("/v1/clients/c1/results")
      assert.deepStrictEqual([status, Object(json).code], [503, "ARCHIVE_UNAVAILABLE"])
    }),
  )
})

/** One query may read at a time, and none may wait; that of `slow` does not end. */
const crowded = Gateway.layerWith({
  host: "127.0.0.1",
  port: 0,
  limits: { reads: { ...readLimits, reads_at_once: 1, reads_waiting: 1, reads_wait_ms: 1 } },
}).pipe(
  Layer.provideMerge(MemoryParts.layerWith({ partitions: 1, incarnation })),
  Layer.provideMerge(FetchHttpClient.layer),
)
const slow = Layer.effect(
  Archive,
  Effect.sync(() => {
    const archive = ArchiveMemory.makeMemory()
    return { ...archive, page: (asked) => (asked.key === "slow" ? Effect.never : archive.page(asked)) }
  }),
)

layer(crowded.pipe(Layer.provide(slow)), { excludeTestServices: true })("an archive that has much to do", (it) => {
  it.effect("is not waited for to say what is wrong with a query", () =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(get("/v1/clients/slow/results"))
      yield* eventually(
        "there is no place",
        Effect.map(get("/v1/clients/c1/results"), ({ status }) => status === 503),
      )
      const { json, status } = yield* get("/v1/clients/c1/results?limit=0")
      assert.deepStrictEqual([status, Object(json).code], [400, "BAD_REQUEST"])
    }),
  )
})

layer(gateway, { excludeTestServices: true })("no archive", (it) => {
  it.effect.each(["/v1/clients/c1/results", "/v1/rooms/r1/messages", "/v1/open/messages"])(
    "is told with 404 on %s",
    (path) =>
      Effect.gen(function* () {
        const { json, status } = yield* get(path)
        assert.deepStrictEqual([status, Object(json).code], [404, "NO_ARCHIVE"])
      }),
  )
})
