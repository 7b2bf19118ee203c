/** The handlers of an application in the processes that people start: where its settings, and no services, are. */
import { symlinkSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import { once } from "node:events"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { EventId } from "@nimbus/domain/protocol"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { connect } from "./testing/RawClient.ts"
import { freePort, nimbus, run, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

const secret = `whsec_${Buffer.alloc(24, 7).toString("base64")}`

const handlers = `
  import { Handlers } from "@nimbus/domain"
  import { Effect, Schema } from "effect"
  const twice = (n: number): number => 2 * n
  export default [
    Handlers.make("twice", { input: Schema.Number, output: Schema.Number, handler: (n) => Effect.succeed(twice(n)) }),
  ]`

/** A directory with a module of handlers, and a port. */
const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(cwd, "node_modules"))
  writeFileSync(join(cwd, "handlers.ts"), handlers)
  const port = yield* freePort
  return { cwd, port, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } }
})

/** A service that answers a text as a test says. */
const serviceOf = Effect.fnUntraced(function* (answer: (text: string, response: ServerResponse) => void) {
  const server = createServer(async (request, response) => {
    let text = ""
    for await (const part of request) text += String(part)
    answer(text, response)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () => Effect.sync(() => server.close().closeAllConnections()),
  )
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`
})

/** A service that answers with what it was sent, in a list. */
const echo = serviceOf((text, response) => response.end(`[${text}]`))

describe("nimbus start with handlers of one's own", () => {
  it.live("runs those of a module instead of the samples, and those of HTTP services beside them", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      const url = yield* echo
      yield* startServer({
        cwd,
        env: {
          ...env,
          NIMBUS_HANDLERS: "./handlers.ts",
          NIMBUS_HANDLERS_HTTP: `echo=${url}`,
          NIMBUS_HANDLERS_HTTP_SECRET: secret,
        },
      })
      const client = yield* connect(port, "clientId=c1")
      for (const [i, name] of ["twice", "echo", "sq"].entries())
        client.send({ type: "event", id: `e${i}`, name, data: 21 })
      yield* eventually(
        "the results",
        Effect.sync(() => client.results().length === 3),
      )
      const [twice, echoed, sq] = client.results()
      assert.deepInclude(twice, { name: "twice", data: 42 })
      assert.deepInclude(echoed, { name: "echo" })
      for (const part of [`"attempt":1`, `"client":"c1"`, `"data":21`]) assert.include(JSON.stringify(echoed), part)
      assert.include(JSON.stringify(sq), "UNKNOWN_EVENT")
    }),
  )

  it.live("runs the task of an HTTP service: its parts and its end reach the client", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      const url = yield* serviceOf((text, response) => {
        response.writeHead(200, { "content-type": "application/x-ndjson" })
        response.end(`${text}\n"more"\n`)
      })
      const NIMBUS_HANDLERS_HTTP = `ask=task:${url}`
      yield* startServer({ cwd, env: { ...env, NIMBUS_HANDLERS_HTTP, NIMBUS_HANDLERS_HTTP_SECRET: secret } })
      const client = yield* connect(port, "clientId=c1")
      client.send({ type: "event", id: "e1", name: "ask", data: "why?" })
      client.send({ type: "event", id: "e2", name: "sq", data: { number: 7 } })
      yield* eventually(
        "an end",
        Effect.sync(() => client.results().some(({ end }) => end !== undefined)),
      )
      const [sent, more, end] = client.results().filter(({ of }) => of !== undefined)
      assert.deepInclude(sent, { of: EventId.make("e1"), attempt: 1, part: 0 })
      for (const part of [`"published":0`, `"client":"c1"`, `"data":"why?"`])
        assert.include(JSON.stringify(sent?.data), part)
      assert.deepInclude(more, { of: EventId.make("e1"), attempt: 1, part: 1, data: "more" })
      assert.deepInclude(end, { of: EventId.make("e1"), end: "done" })
      yield* eventually(
        "the result of the event behind it",
        Effect.sync(() => client.results().some(({ id }) => id === "e2")),
      )
    }),
  )

  it.live("has the samples beside those of HTTP services, but for one of their names", () =>
    Effect.gen(function* () {
      const { cwd, env, port } = yield* place
      const NIMBUS_HANDLERS_HTTP = `event=${yield* echo}`
      yield* startServer({ cwd, env: { ...env, NIMBUS_HANDLERS_HTTP, NIMBUS_HANDLERS_HTTP_SECRET: secret } })
      const client = yield* connect(port, "clientId=c1")
      client.send({ type: "event", id: "e0", name: "sq", data: { number: 7 } })
      client.send({ type: "event", id: "e1", name: "event", data: 1 })
      yield* eventually(
        "the results",
        Effect.sync(() => client.results().length === 2),
      )
      const [sq, event] = client.results()
      assert.deepInclude(sq, { data: { number: 7, result: 49 } })
      assert.include(JSON.stringify(event), `"attempt":1`)
    }),
  )

  it.live.each([
    { what: "throws", file: "own.mjs", code: `throw new Error("boom")`, says: /it can't be loaded: boom / },
    {
      what: "has a fault of syntax",
      file: "own.mjs",
      code: `\nexport default [`,
      says: /it can't be loaded: Unexpected end of input /,
    },
    { what: "has a fault of syntax in TypeScript", file: "own.ts", code: `const x: = 1`, says: /it can't be loaded: / },
    { what: "has an enum", file: "own.ts", code: `enum A { B }`, says: /it can't be loaded: .*enum/ },
    {
      what: "imports what is not there",
      file: "own.ts",
      code: `import "nowhere"`,
      says: /Cannot find package 'nowhere'/,
    },
    {
      what: "declares a handler that is no function",
      file: "own.mjs",
      code: `import { Handlers } from "@nimbus/domain"\nimport { Schema } from "effect"\nexport default [Handlers.task("count", { input: Schema.Json, part: Schema.Json, handler: 5 })]`,
      says: /it can't be loaded: the handler of count is no function /,
    },
    { what: "has no default export", file: "own.ts", code: `export const a = 1`, says: /it has no default export; / },
  ])("is refused in one line where its module $what", ({ code, file, says }) =>
    Effect.gen(function* () {
      const { cwd, env } = yield* place
      writeFileSync(join(cwd, file), code)
      const failed = yield* nimbus(["start"], { cwd, env: { ...env, NIMBUS_HANDLERS: file } })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.match(
        failed.stderr(),
        /^nimbus: NIMBUS_HANDLERS=own[^\n]* \(HANDLERS_MODULE_BAD, see docs\/errors\.md\)\n$/,
      )
      assert.match(failed.stderr(), says)
    }),
  )

  it.live("ends the start at once where its module throws later, when nobody can catch it", () =>
    Effect.gen(function* () {
      const { cwd, env } = yield* place
      const code = `const when = setInterval(() => { throw new Error("later") }, 20)\nexport default []`
      writeFileSync(join(cwd, "later.mjs"), code)
      const failed = yield* nimbus(["start"], { cwd, env: { ...env, NIMBUS_HANDLERS: "later.mjs" } })
      assert.deepStrictEqual(yield* failed.ended, { code: null, signal: "SIGKILL" })
      assert.match(failed.stderr(), /^nimbus: an error that nobody has caught ends the process\nError: later\n/)
    }),
  )

  it.live("is refused where a layer of handlers and an HTTP service would have to be one", () =>
    Effect.gen(function* () {
      const { cwd, env } = yield* place
      const layer = `import { Handlers } from "@nimbus/domain"\nexport default Handlers.layer([])`
      writeFileSync(join(cwd, "layer.mjs"), layer)
      const settings = {
        NIMBUS_HANDLERS: "layer.mjs",
        NIMBUS_HANDLERS_HTTP: "echo=http://127.0.0.1:1/",
        NIMBUS_HANDLERS_HTTP_SECRET: secret,
      }
      const failed = yield* nimbus(["start"], { cwd, env: { ...env, ...settings } })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.match(failed.stderr(), /^nimbus: NIMBUS_HANDLERS=layer\.mjs: a layer of Handlers has them all: [^\n]+\n$/)
    }),
  )

  it.live.each([
    { what: "the handler", address: "http://127.0.0.1:1/" },
    { what: "the task", address: "task:http://127.0.0.1:1/" },
  ])("is refused where a handler of a module and $what of an HTTP service have the same name", ({ address }) =>
    Effect.gen(function* () {
      const { cwd, env } = yield* place
      const settings = {
        NIMBUS_HANDLERS: "handlers.ts",
        NIMBUS_HANDLERS_HTTP: `twice=${address}`,
        NIMBUS_HANDLERS_HTTP_SECRET: secret,
      }
      const failed = yield* nimbus(["start"], { cwd, env: { ...env, ...settings } })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.match(failed.stderr(), /^nimbus: [^\n]*twice[^\n]*\(DUPLICATE_HANDLER, see docs\/errors\.md\)\n$/)
    }),
  )
})

describe("Pipeline.main", () => {
  it.live("says in one line that two handlers have one name, although no service is there", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const env = {
        NIMBUS_PIPELINE_HTTP_PORT: `${yield* freePort}`,
        // Nobody listens on port 1.
        NIMBUS_KAFKA_BROKERS: "127.0.0.1:1",
        NIMBUS_REDIS_ADDRESS: "127.0.0.1:1",
      }
      const failed = yield* run("ownPipeline", ["--twice"], { cwd, env })
      assert.deepStrictEqual(yield* failed.ended, { code: 1, signal: null })
      assert.match(failed.stderr(), /^nimbus: [^\n]*order[^\n]*\(DUPLICATE_HANDLER, see docs\/errors\.md\)\n$/)
    }),
  )
})
