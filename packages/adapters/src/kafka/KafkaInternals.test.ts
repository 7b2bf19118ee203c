import { readdirSync, readFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate, Schema } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { mendConnections } from "./Connections.ts"
import {
  contract,
  errorNames,
  loadInternals,
  makeCluster,
  readModule,
  type ReadModule,
  send,
} from "./KafkaInternals.ts"
import type { Request } from "./Requests.ts"

const Manifest = Schema.fromJsonString(
  Schema.Struct({
    version: Schema.String,
    peerDependencies: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  }),
)
const manifestOf = (path: string) => Schema.decodeUnknownSync(Manifest)(readFileSync(path, "utf8"))

/** kafkajs, with another module in the place of one. */
const readInstead =
  (path: string, module: unknown): ReadModule =>
  (asked) =>
    asked === path ? module : readModule(asked)

/** The class of a module without one of its members: a method, or a field of its objects. */
const without = (module: unknown, name: string): unknown => {
  if (!isClass(module)) return assert.fail("kafkajs exports no class there")
  if (name in module.prototype) {
    class Without extends module {}
    Object.defineProperty(Without.prototype, name, { value: undefined })
    return Without
  }
  return class extends module {
    constructor(options: unknown) {
      super(options)
      // One that is undefined at first is missed when it has become something else.
      Reflect.set(this, name, name === "socket" ? null : undefined)
    }
  }
}

const isClass = (u: unknown): u is (new (options: unknown) => object) & { readonly prototype: object } =>
  typeof u === "function" && Predicate.isObject(u.prototype)

describe("what kafkajs has inside", () => {
  it.effect("is all there in the installed version, which is the one that is pinned", () =>
    Effect.gen(function* () {
      yield* loadInternals()
      const pinned = manifestOf(new URL("../../package.json", import.meta.url).pathname).peerDependencies?.["kafkajs"]
      const installed: unknown = readModule("../package.json")
      assert.match(pinned ?? "", /^\d+\.\d+\.\d+$/)
      assert.isTrue(Predicate.hasProperty(installed, "version"))
      assert.deepInclude(installed, { version: pinned })
    }),
  )

  it("is named in one file", () => {
    const folder = new URL(".", import.meta.url)
    const files = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    const reaching = files.filter((name) => /kafkajs\/|createRequire/.test(readFileSync(new URL(name, folder), "utf8")))
    assert.deepStrictEqual(reaching, ["KafkaInternals.ts"])
  })

  for (const [name, { members, path }] of Object.entries(contract)) {
    for (const member of Object.keys(members)) {
      it.effect(`is refused without ${name}.${member}`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(loadInternals(readInstead(path, without(readModule(path), member))))
          assert.deepStrictEqual(error.lacks, [`${name}.${member}`])
          assert.match(error.message, /^the installed kafkajs lacks .*: npm install kafkajs@\d/)
        }),
      )
    }
    it.effect(`is refused without ${path}`, () =>
      Effect.gen(function* () {
        const read: ReadModule = (asked) => {
          if (asked === path) throw new Error("not found")
          return readModule(asked)
        }
        const error = yield* Effect.flip(loadInternals(read))
        assert.deepStrictEqual(
          error.lacks,
          Object.keys(members).map((member) => `${name}.${member}`),
        )
      }),
    )
  }

  for (const name of errorNames) {
    it.effect(`is refused without ${name}`, () =>
      Effect.gen(function* () {
        const all = readModule("errors.js")
        assert.isTrue(Predicate.isObject(all))
        const error = yield* Effect.flip(
          loadInternals(readInstead("errors.js", { ...(Predicate.isObject(all) && all), [name]: undefined })),
        )
        assert.deepStrictEqual(error.lacks, [name])
      }),
    )
  }
})

/** What a broker of Kafka says to the number of a request; anything but a buffer: it says nothing. */
type Answer = (api: number, body: Buffer) => Buffer | "nothing" | "half"

/** A cluster of one broker, that answers so; the connections that it has. */
const startCluster = (answer: Answer) =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    const server = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((socket) => {
          sockets.add(socket)
          socket.on("close", () => sockets.delete(socket))
          socket.on("error", () => {})
          let read = Buffer.alloc(0)
          socket.on("data", (bytes) => {
            read = Buffer.concat([read, bytes])
            while (read.length >= 4 && read.length >= 4 + read.readInt32BE(0)) {
              const request = read.subarray(4, 4 + read.readInt32BE(0))
              read = read.subarray(4 + request.length)
              reply(socket, request)
            }
          })
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }),
    )
    const address = server.address()
    const port = address === null || typeof address === "string" ? 0 : address.port
    const reply = (socket: Socket, request: Buffer) => {
      const api = request.readInt16BE(0)
      const said = api === apiVersions ? versions : api === metadata ? metadataOf(port) : answer(api, request)
      if (said === "nothing") return
      const head = Buffer.alloc(8)
      head.writeInt32BE(4 + (said === "half" ? 100 : said.length), 0)
      head.writeInt32BE(request.readInt32BE(4), 4)
      if (said !== "half") return socket.write(Buffer.concat([head, said]))
      socket.write(head)
      socket.end()
    }
    const internals = yield* loadInternals()
    mendConnections(internals)
    const kafka = new Kafka({
      brokers: [`127.0.0.1:${port}`],
      connectionTimeout: 1_000,
      requestTimeout: 100,
      retry: { retries: 0 },
      logLevel: logLevel.NOTHING,
    })
    const cluster = yield* Effect.acquireRelease(
      Effect.sync(() => makeCluster(kafka, internals)),
      (cluster) => Effect.promise(() => cluster.disconnect()),
    )
    yield* Effect.promise(() => cluster.connect())
    yield* Effect.promise(() => cluster.refreshMetadata())
    const broker = yield* Effect.promise(() => cluster.findBroker({ nodeId: "1" }))
    return { broker, sockets }
  })

const apiVersions = 18
const metadata = 3

/** No error; of Metadata 0 to 1 and ApiVersions 0 to 0, and no more. */
const versions = Buffer.from([0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 0, 0, 18, 0, 0, 0, 0])

/** Of version 0: one broker, with the number 1, and no topics. */
const metadataOf = (port: number): Buffer => {
  const host = Buffer.from("127.0.0.1")
  const answer = Buffer.alloc(4 + 4 + 2 + host.length + 4 + 4)
  answer.writeInt32BE(1, 0)
  answer.writeInt32BE(1, 4)
  answer.writeInt16BE(host.length, 8)
  host.copy(answer, 10)
  answer.writeInt32BE(port, 10 + host.length)
  return answer
}

/** Any that kafkajs does not know. */
const request = (word: string): Request<string> => ({
  apiKey: 99,
  apiVersion: 7,
  apiName: "Ours",
  body: () => Buffer.from(word),
  read: (answer) => answer.toString(),
})

describe("how kafkajs behaves inside", () => {
  it.live("sends a request of ours as it is, behind its header, and hands over the whole of its answer", () =>
    Effect.gen(function* () {
      const { broker } = yield* startCluster((_, request) =>
        Buffer.concat([request.subarray(0, 4), request.subarray(-5)]),
      )
      const answer = yield* Effect.promise(() => send(broker, request("hello"), 1_000))
      assert.strictEqual(answer, "\u0000c\u0000\u0007hello")
      assert.strictEqual(broker.versions?.[metadata]?.maxVersion, 0)
    }).pipe(Effect.scoped),
  )

  it.live("forgets half an answer with its connection, and makes the next one from nothing", () =>
    Effect.gen(function* () {
      const said: Array<"half" | Buffer> = ["half", Buffer.from("whole")]
      const { broker } = yield* startCluster(() => said.shift() ?? "nothing")
      const failure = yield* Effect.flip(Effect.tryPromise(() => send(broker, request("?"), 1_000)))
      assert.match(String(failure.cause), /KafkaJSConnection/)
      assert.strictEqual(yield* Effect.promise(() => send(broker, request("?"), 1_000)), "whole")
    }).pipe(Effect.scoped),
  )

  it.live("ends a connection on which a request is not answered in time", () =>
    Effect.gen(function* () {
      const said: Array<"nothing" | Buffer> = ["nothing", Buffer.from("again")]
      const { broker, sockets } = yield* startCluster(() => said.shift() ?? "nothing")
      const before = [...sockets]
      const failure = yield* Effect.flip(Effect.tryPromise(() => send(broker, request("?"), 50)))
      assert.match(String(failure.cause), /KafkaJSRequestTimeoutError/)
      // One that is sent before the socket has closed fails with it.
      const again = Effect.tryPromise(() => send(broker, request("?"), 1_000)).pipe(Effect.retry({ times: 2 }))
      assert.strictEqual(yield* again, "again")
      assert.isTrue(before.some((socket) => !sockets.has(socket)))
    }).pipe(Effect.scoped),
  )
})
