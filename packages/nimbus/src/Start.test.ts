import { writeFileSync } from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { assert, describe, it, layer } from "@effect/vitest"
import { Client, Memory } from "@nimbus/client"
import { closeCodes } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Context, Effect, Fiber, Layer } from "effect"
import { connect } from "./testing/RawClient.ts"
import { hasShown, isLive, oneTo, sendNumbers, show } from "./testing/Squares.ts"
import { freePort, nimbus, type Running, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

/** A directory, and a port to be set there. */
const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  const port = yield* freePort
  return { cwd, port, env: { NIMBUS_HTTP_PORT: `${port}` } }
})

class Started extends Context.Service<
  Started,
  { readonly cwd: string; readonly port: number; readonly server: Running }
>()("test/Started") {}

/** One server for the tests that need one with nothing set: to start it takes most of their time. */
const started = Layer.effect(
  Started,
  Effect.gen(function* () {
    const { cwd, env, port } = yield* place
    return { cwd, port, server: yield* startServer({ cwd, env }) }
  }),
)

layer(started, { excludeTestServices: true, timeout: 120_000 })("nimbus start, in an empty directory", (it) => {
  it.effect("serves, and says where and what to do next", () =>
    Effect.gen(function* () {
      const { port, server } = yield* Started
      const client = yield* connect(port, "clientId=you")
      client.send({ type: "event", id: "e1", name: "sq", data: { number: 7 } })
      yield* eventually(
        "an answer",
        Effect.sync(() => client.results().length > 0),
      )
      const [{ seq, ...item } = { seq: -1 }, ...more] = client.results()
      assert.isAtLeast(seq, 0)
      assert.deepEqual(item, { id: "e1", name: "sq", data: { number: 7, result: 49 } })
      assert.deepStrictEqual(more, [])
      for (const part of [
        `http://127.0.0.1:${port}/\n`,
        `ws://127.0.0.1:${port}/v1/stream`,
        "./data",
        `--addr=ws://127.0.0.1:${port}`,
        "demo",
      ]) {
        assert.include(server.stdout(), part)
      }
      assert.strictEqual(server.stderr(), "")
      const ready = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/readyz`))
      assert.strictEqual(ready.status, 200)
    }),
  )

  it.effect("says in one line that the port, or the data directory, is taken, and by whom", () =>
    Effect.gen(function* () {
      const { cwd, port, server } = yield* Started
      const samePort = yield* nimbus(["start"], {
        cwd: yield* temporaryDirectory,
        env: { NIMBUS_HTTP_PORT: `${port}` },
      })
      const sameData = yield* nimbus(["start"], { cwd, env: { NIMBUS_HTTP_PORT: `${yield* freePort}` } })
      assert.strictEqual((yield* samePort.ended).code, 1)
      assert.strictEqual((yield* sameData.ended).code, 1)
      assertLine(
        samePort.stderr(),
        `nimbus: NIMBUS_HTTP_PORT: port ${port} is taken; stop what listens there, or set another port`,
      )
      assertLine(
        sameData.stderr(),
        new RegExp(`in use by process ${server.pid}; .* NIMBUS_DATA .*DATA_DIRECTORY_IN_USE`),
      )
    }),
  )
})

describe("nimbus start", () => {
  it.live.each([
    { env: { NIMBUS_HTTP_PORT: "abc" }, line: "nimbus: NIMBUS_HTTP_PORT=abc: expected a number" },
    { env: { NIMBUS_PARTITIONS: "0" }, line: "nimbus: NIMBUS_PARTITIONS=0: expected a value between 1 and 1024" },
    { env: { NIMBUS_HANDLERS: "./nowhere.ts" }, line: /^nimbus: NIMBUS_HANDLERS=\.\/nowhere\.ts: there is no file / },
    { env: { NIMBUS_HANDLERS_HTTP: "here" }, line: /^nimbus: NIMBUS_HANDLERS_HTTP=here: must be name=https:/ },
    { env: { NIMBUS_ADMIN_TOKEN: "short" }, line: /^nimbus: NIMBUS_ADMIN_TOKEN: expected a value with a length of / },
    {
      env: { NIMBUS_HANDLERS_HTTP: "order=http://127.0.0.1:1/" },
      line: "nimbus: NIMBUS_HANDLERS_HTTP_SECRET: expected string",
    },
    { env: { NIMBUS_SHUTDOWN_TIMEOUT_SEC: "x" }, line: "nimbus: NIMBUS_SHUTDOWN_TIMEOUT_SEC=x: expected a number" },
  ])("says in one line what is wrong with $env", ({ env, line }) =>
    Effect.gen(function* () {
      const { cwd, env: itsPort } = yield* place
      const failed = yield* nimbus(["start"], { cwd, env: { ...itsPort, ...env } })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.strictEqual(failed.stdout(), "")
      assertLine(failed.stderr(), line)
    }),
  )

  it.live.each([
    { NIMBUS_DATA: "/proc/nimbus/data", fault: "create: ENOENT: .* '/proc/nimbus'" },
    { NIMBUS_DATA: "/dev/null/data", fault: "create: EEXIST: .* '/dev/null'" },
  ])("says in one line, and at once, that the data directory $NIMBUS_DATA can't be made", ({ NIMBUS_DATA, fault }) =>
    Effect.gen(function* () {
      const { cwd, env } = yield* place
      const failed = yield* nimbus(["start"], { cwd, env: { ...env, NIMBUS_DATA } })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.strictEqual(failed.stdout(), "")
      const line = `^nimbus: the data directory \\(NIMBUS_DATA\\) does not work, ${fault} \\(STORAGE_UNAVAILABLE, see .*\\)$`
      assertLine(failed.stderr(), new RegExp(line))
    }),
  )

  it.live("reads .env.local and .env where it is started, and each wins over the next, the environment over both", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      writeFileSync(join(cwd, ".env"), `# ours\nNIMBUS_HTTP_PORT=1\nNIMBUS_DATA="elsewhere"\nNIMBUS_PARTITIONS=many\n`)
      writeFileSync(join(cwd, ".env.local"), "NIMBUS_HTTP_PORT=2\nNIMBUS_PARTITIONS=8\n")
      const server = yield* startServer({ cwd, env: { ...env, ...withoutArchive } })
      assert.include(server.stdout(), `ws://127.0.0.1:${port}/`)
      assert.include(server.stdout(), "its data is in elsewhere")
      writeFileSync(join(cwd, ".env"), "NIMBUS_PARTITIONS=many\n")
      writeFileSync(join(cwd, ".env.local"), "")
      const failed = yield* nimbus(["start"], { cwd, env })
      assert.strictEqual((yield* failed.ended).code, 1)
      assertLine(failed.stderr(), "nimbus: NIMBUS_PARTITIONS=many: expected a number")
    }),
  )

  it.live("names each unknown setting with the nearest one, and ignores a Service of Kubernetes called nimbus", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      writeFileSync(join(cwd, ".env.local"), "export NIMBUS_PARTITION=8\n")
      const injected = { NIMBUS_PORT: "tcp://10.0.0.7:3000", NIMBUS_SERVICE_HOST: "10.0.0.7" }
      // Its gRPC port is the usual one then, which may be taken here.
      const server = yield* nimbus(["start"], {
        cwd,
        env: { ...env, ...withoutArchive, ...injected, NIMBUS_HTTPPORT: `${port}` },
      })
      yield* Effect.raceFirst(server.printed("Nimbus is running"), server.ended)
      const [http, partitions, ...more] = server.stderr().trimEnd().split("\n")
      assert.strictEqual(http, "nimbus: NIMBUS_HTTPPORT is no setting and is ignored; the nearest is NIMBUS_HTTP_PORT")
      assert.strictEqual(
        partitions,
        "nimbus: NIMBUS_PARTITION is no setting and is ignored; the nearest is NIMBUS_PARTITIONS",
      )
      for (const line of more) assert.match(line, /50051/)
    }),
  )

  it.live.each([
    { signal: "SIGTERM", more: {} },
    { signal: "SIGINT", more: withoutArchive },
  ] as const)(
    "leaves on $signal with code 0, sends its clients away, and loses nothing of theirs",
    ({ more, signal }) =>
      Effect.gen(function* () {
        const { cwd, port, ...itsPlace } = yield* place
        const env = { ...itsPlace.env, ...more }
        const server = yield* startServer({ cwd, env })
        const raw = yield* connect(port, "clientId=raw&ack=client")
        const client = yield* Client.make({
          url: `ws://127.0.0.1:${port}`,
          clientId: "sdk",
          limits: { reconnect_max_ms: 100, retry_jitter_ms: 50 },
        })
        const shown: Array<number> = []
        yield* Effect.forkScoped(show(client, shown))
        const sending = yield* Effect.forkScoped(sendNumbers(client, 1, 1_000))
        yield* hasShown(shown, 1)
        yield* server.kill(signal)
        assert.deepStrictEqual(yield* raw.closed, { code: closeCodes.goingAway.code, reason: "GOING_AWAY" })
        assert.deepStrictEqual(yield* server.ended, { code: 0, signal: null })
        assert.match(server.stderr(), /^nimbus: SIG\w+, leaving.*\nnimbus: stopped\n$/)

        yield* startServer({ cwd, env })
        yield* Fiber.join(sending)
        yield* hasShown(shown, 1_000)
        yield* isLive(client)
        assert.deepStrictEqual(shown, oneTo(1_000))
      }).pipe(Effect.provide(Memory.layerMemory, { local: true })),
  )

  it.live("cuts a drain short at its timeout, and says so with code 1", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      const server = yield* startServer({ cwd, env: { ...env, ...withoutArchive, NIMBUS_SHUTDOWN_TIMEOUT_SEC: "1" } })
      yield* connectAndFallSilent(port)
      yield* server.kill("SIGTERM")
      assert.deepStrictEqual(yield* server.ended, { code: 1, signal: null })
      assert.match(
        server.stderr(),
        /^nimbus: SIGTERM, leaving.*\nnimbus: the drain took longer than 1 s and was cut short\n$/,
      )
    }),
  )
})

/** A client with a session, which then does not even answer a close. */
const connectAndFallSilent = Effect.fnUntraced(function* (port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => createConnection(port, "127.0.0.1")),
    (socket) => Effect.sync(() => socket.destroy()),
  )
  const request = [
    "GET /v1/stream?clientId=silent HTTP/1.1",
    "Host: localhost",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ]
  // The server's end may reset it.
  socket.on("error", () => {})
  socket.write(`${request.join("\r\n")}\r\n\r\n`)
  let heard = ""
  socket.on("data", (data) => (heard += data.toString("latin1")))
  yield* eventually(
    "it is welcome",
    Effect.sync(() => heard.includes(`"welcome"`)),
  )
})

/** One line, and nothing beside it: no stack, no second line. */
const assertLine = (text: string, line: string | RegExp): void => {
  assert.strictEqual(text.trimEnd().split("\n").length, 1, text)
  if (typeof line === "string") assert.strictEqual(text.trimEnd(), line)
  else assert.match(text.trimEnd(), line)
}
