import { createServer } from "node:http"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Cursor, Incarnation } from "@nimbus/domain/protocol"
import { Archive } from "@nimbus/domain/services"
import { archiveSuite } from "@nimbus/domain/testing"
import { ConfigProvider, Effect, Layer } from "effect"
import { startDynalite } from "../../../../scripts/services/Dynalite.ts"
import * as DynamoArchive from "./Archive.ts"
import { DynamoDatabase } from "./Database.ts"
import { config } from "./Settings.ts"

const server = await startDynalite()
afterAll(() => server.stop())
Object.assign(process.env, server.environment)

const on = (endpoint: string, prefix: string) =>
  DynamoArchive.layer.pipe(Layer.provide(DynamoDatabase.layerWith({ endpoint, region: "local", prefix })))

archiveSuite("in DynamoDB", on(server.endpoint, "suite"))

const source = { incarnation: Incarnation.make("log-1"), kind: "results", partition: 0 } as const
const question = { ...source, key: "c", after: Cursor.make(-1), limit: { results: 1_000, bytes: 10_000_000 } }

const pass = async (body: unknown, headers: Readonly<Record<string, string>>) => {
  const answer = await fetch(server.endpoint, { method: "POST", headers, body: JSON.stringify(body) })
  return { status: answer.status, text: await answer.text() }
}

/** Before the server: it leaves some of each batch unprocessed, `times` times. */
const lazyServer = (times: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly endpoint: string; readonly close: () => void }>((resume) => {
      let left = times
      const proxy = createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const body = JSON.parse(Buffer.concat(chunks).toString())
          const isBatch = String(request.headers["x-amz-target"]).endsWith("BatchWriteItem")
          const unprocessed: Record<string, ReadonlyArray<unknown>> = {}
          if (isBatch && left-- > 0) {
            for (const [table, items] of Object.entries<ReadonlyArray<unknown>>(body.RequestItems)) {
              unprocessed[table] = items.slice(1)
              body.RequestItems[table] = items.slice(0, 1)
            }
          }
          const { host: _, "content-length": __, ...headers } = request.headers
          void pass(body, headers as Record<string, string>).then(({ status, text }) => {
            response.writeHead(status, { "content-type": "application/x-amz-json-1.0" })
            return response.end(isBatch && status === 200 ? JSON.stringify({ UnprocessedItems: unprocessed }) : text)
          })
        })
      })
      proxy.listen(0, "127.0.0.1", () => {
        const address = proxy.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ endpoint: `http://127.0.0.1:${port}`, close: () => void proxy.closeAllConnections() }))
      })
    }),
    ({ close }) => Effect.sync(close),
  )

const records = (n: number) =>
  Array.from({ length: n }, (_, place) => ({ key: "c", place, timestamp: 1, value: `${place}` }))

describe("DynamoArchive", () => {
  it.live("sends again what was left unprocessed, until nothing is", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* lazyServer(6)
      yield* Effect.gen(function* () {
        const archive = yield* Archive
        yield* archive.write({ source, records: records(60), position: 60 })
        assert.deepStrictEqual(
          (yield* archive.page(question)).records.map(({ place }) => place),
          records(60).map(({ place }) => place),
        )
      }).pipe(Effect.provide(on(endpoint, "unprocessed")))
    }),
  )

  it.live("gives up after a bounded number of times, and leaves the position where it was", () =>
    Effect.gen(function* () {
      const { endpoint } = yield* lazyServer(Number.POSITIVE_INFINITY)
      yield* Effect.gen(function* () {
        const archive = yield* Archive
        const error = yield* Effect.flip(archive.write({ source, records: records(25), position: 25 }))
        assert.match(String(error.cause), /15 items were left unprocessed 10 times/)
        assert.isUndefined(yield* archive.position(source))
      }).pipe(Effect.provide(on(endpoint, "given-up")))
    }),
  )

  it.live("refuses an item that is too large for DynamoDB, and takes the others", () =>
    Effect.gen(function* () {
      const archive = yield* Archive
      const sizes = [1, 399 * 1024, 400 * 1024, 1]
      const large = sizes.map((size, place) => ({
        key: "c",
        place,
        timestamp: 1,
        value: JSON.stringify("x".repeat(size)),
      }))
      const refused = yield* archive.write({ source, records: large, position: 4 })
      assert.deepStrictEqual(refused, [{ index: 2, reason: "an item of DynamoDB has at most 409600 bytes" }])
      const { records } = yield* archive.page(question)
      assert.deepStrictEqual(
        records.map(({ place }) => place),
        [0, 1, 3],
      )
    }).pipe(Effect.provide(on(server.endpoint, "large"))),
  )

  it.live("makes its tables once, whoever comes first", () =>
    Effect.all(
      Array.from({ length: 4 }, () => Effect.provide(Archive, Layer.fresh(on(server.endpoint, "raced")))),
      { concurrency: "unbounded" },
    ),
  )

  it.live("fails at once where the server turns it away, and says so", () =>
    Effect.gen(function* () {
      const bad = DynamoDatabase.layerWith({ endpoint: server.endpoint, region: "local", prefix: "x".repeat(300) })
      const error = yield* Effect.flip(Effect.provide(DynamoDatabase, bad)).pipe(Effect.timeout("30 seconds"))
      assert.propertyVal(error, "code", "DYNAMODB_REFUSED")
    }),
  )

  it.effect("reads its settings, and names those that are wrong", () =>
    Effect.gen(function* () {
      const read = (env: Record<string, string>) => config.parse(ConfigProvider.fromEnv({ env }))
      assert.deepStrictEqual(yield* read({}), { endpoint: undefined, region: undefined, prefix: "nimbus" })
      for (const [name, value] of [
        ["NIMBUS_DYNAMODB_ENDPOINT", "localhost:8000"],
        ["NIMBUS_DYNAMODB_PREFIX", "a b"],
      ] as const) {
        assert.include((yield* Effect.flip(read({ [name]: value }))).message, name)
      }
    }),
  )
})
