/** Operators at the command line of the embedded server: while it runs, and when it does not. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Handlers, Topics } from "@nimbus/domain/services"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Nimbus from "../Nimbus.ts"
import { adminStory, TestEnvironment, json, partition, seed } from "../testing/adminStory.ts"
import { embedded, type Env, operator } from "../testing/Operator.ts"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "../testing/Processes.ts"

const token = "a token of the tests"
const everywhere = { NIMBUS_HOST: "0.0.0.0", NIMBUS_INSECURE: "true" }

/** Processes start slowly while others do. */
const patience_ms = 120_000

/** A data directory with the seed in it, and a port. */
const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  const port = yield* freePort
  const env: Env = { ...withoutArchive, NIMBUS_DATA: join(cwd, "data"), NIMBUS_HTTP_PORT: `${port}` }
  const settings = ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
  yield* seed.pipe(
    Effect.provide(embedded.pipe(Layer.provideMerge(Topics.layer), Layer.provide(settings)), { local: true }),
  )
  return { cwd, port, env }
})

/** The server, in this process: `nimbus start` would first load all of it again. */
const server = (env: Env) =>
  Nimbus.layer.pipe(
    Layer.provide(Handlers.layer(Handlers.samples)),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...env, NIMBUS_PORT: "0" } }))),
  )

const testEnvironment = Effect.gen(function* () {
  const { cwd, env, port } = yield* place
  yield* startServer({ cwd, env })
  return TestEnvironment.of({ port, run: operator(env), byApi: ["--url", `http://127.0.0.1:${port}`] })
})

adminStory("the commands of operators, on an embedded server", Layer.effect(TestEnvironment, testEnvironment))

describe("operators' commands", () => {
  it.live(
    "read and write the stores themselves where no server runs, and say so",
    () =>
      Effect.gen(function* () {
        const { env, port } = yield* place
        const run = operator(env)
        const note = `no server runs on ${env["NIMBUS_DATA"]}: its stores are read directly`

        const status = yield* run("status", "--json")
        assert.strictEqual(status.stderr, note)
        assert.deepStrictEqual(json(status).pods, [])
        assert.strictEqual(json(status).lag.events, 1)
        assert.strictEqual(json(status).quarantined, 1)
        assert.deepStrictEqual(json(yield* run("clients", "--json")).clients, [])
        assert.strictEqual((yield* run("client", "ada")).code, "NOT_FOUND")
        assert.strictEqual(json(yield* run("mailbox", "ada", "--json")).results, 0)
        assert.match((yield* run("lag")).stdout, /events +\d+ +0 +- +1 +1 +-\n/)
        assert.include((yield* run("topics")).stdout, "nimbus-quarantine-v1")
        assert.include((yield* run("quarantine", "list")).stdout, "an older version could not read it")
        const at = `${partition(4)}`
        assert.strictEqual((yield* run("quarantine", "show", at, "1")).code, "NOT_FOUND")
        const { events } = json(yield* run("quarantine", "retry", at, "0", "--json"))
        assert.strictEqual(events[0].newSeq, 1)
        assert.strictEqual(json(yield* run("replay", "ada", "--from", "0", "--json")).events[0].oldSeq, 1)
        assert.strictEqual(json(yield* run("trace", "ada", "2", "--json")).place, "events")
        for (const args of [
          ["kick", "ada"],
          ["drain", "gw-1"],
        ]) {
          assert.strictEqual((yield* run(...args)).code, "NOT_POSSIBLE", args.join(" "))
        }

        // What was published is handled once a server runs.
        const client = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/v1/admin/clients/ada`).then((answer) => answer.json()),
        ).pipe(Effect.provide(server(env), { local: true }))
        assert.strictEqual(Object(client).lastEvents.length, 2)
      }),
    patience_ms,
  )

  it.live(
    "take a server's address that was left behind for what it is",
    () =>
      Effect.gen(function* () {
        const { cwd, env, port } = yield* place
        const run = operator(env)
        const killed = yield* startServer({ cwd, env })
        assert.strictEqual((yield* run("status")).stderr, "")
        yield* killed.kill("SIGKILL")
        yield* killed.ended
        assert.include((yield* run("status")).stderr, "no server runs")
        // Another server is at that address now.
        const other = yield* place
        yield* Effect.gen(function* () {
          assert.include((yield* run("status")).stderr, "no server runs")
          writeFileSync(join(env["NIMBUS_DATA"]!, "admin.json"), "{")
          assert.include((yield* run("status")).stderr, "no server runs")
        }).pipe(Effect.provide(server({ ...other.env, NIMBUS_HTTP_PORT: `${port}` }), { local: true }))
      }),
    patience_ms,
  )

  it.live(
    "need the token of a server that has one, which then answers on any address",
    () =>
      Effect.gen(function* () {
        const { env } = yield* place
        yield* Effect.gen(function* () {
          assert.strictEqual((yield* operator(env)("status")).code, "UNAUTHORIZED")
          const wrong = operator({ ...env, NIMBUS_ADMIN_TOKEN: `${token}!` })
          assert.strictEqual((yield* wrong("status")).code, "UNAUTHORIZED")
          const run = operator({ ...env, NIMBUS_ADMIN_TOKEN: token })
          assert.strictEqual(json(yield* run("status", "--json")).pods.length, 1)
        }).pipe(Effect.provide(server({ ...env, NIMBUS_ADMIN_TOKEN: token, ...everywhere }), { local: true }))
      }),
    patience_ms,
  )

  it.live(
    "say that a server beyond this machine and without a token can't be asked",
    () =>
      Effect.gen(function* () {
        const { cwd, env, port } = yield* place
        yield* startServer({ cwd, env: { ...env, ...everywhere } })
        const { code, stderr } = yield* operator(env)("status")
        assert.strictEqual(code, "DATA_DIRECTORY_IN_USE")
        assert.include(stderr, "no admin API to ask it by")
        assert.notInclude(stderr, "no server runs")
        const named = operator({ ...env, NIMBUS_ADMIN_URL: `http://127.0.0.1:${port}` })
        assert.strictEqual((yield* named("status")).code, "ADMIN_UNAVAILABLE")
      }),
    patience_ms,
  )

  it.live(
    "find a program that has all of Nimbus inside by its data directory",
    () =>
      Effect.gen(function* () {
        const { env } = yield* place
        yield* Effect.gen(function* () {
          const { stderr, stdout } = yield* operator(env)("lag")
          assert.strictEqual(stderr, "")
          assert.include(stdout, "events")
        }).pipe(Effect.provide(server(env), { local: true }))
        assert.include((yield* operator(env)("lag")).stderr, "no server runs")
      }),
    patience_ms,
  )

  it.live(
    "say that nobody answers, and that there is no data",
    () =>
      Effect.gen(function* () {
        const cwd = yield* temporaryDirectory
        const env = { NIMBUS_DATA: join(cwd, "none") }
        assert.strictEqual((yield* operator(env)("status")).code, "NO_DATA")
        const away = yield* operator(env)("status", "--url", `http://127.0.0.1:${yield* freePort}`)
        assert.strictEqual(away.code, "ADMIN_UNAVAILABLE")
      }),
    patience_ms,
  )

  it.live(
    "are part of nimbus: the answer on stdout, a failure in one line on stderr, and its exit code",
    () =>
      Effect.gen(function* () {
        const { cwd, env } = yield* place
        const status = yield* nimbus(["status", "--json"], { cwd, env })
        assert.deepStrictEqual(yield* status.ended, { code: 0, signal: null })
        assert.strictEqual(Object(JSON.parse(status.stdout())).partitions, 4)
        const kick = yield* nimbus(["kick", "ada"], { cwd, env })
        assert.deepStrictEqual(yield* kick.ended, { code: 1, signal: null })
        assert.strictEqual(kick.stdout(), "")
        assert.match(kick.stderr(), /\nnimbus: no server runs on this data.* \(NOT_POSSIBLE, see docs\/errors\.md\)\n$/)
        const neither = yield* nimbus(["client"], { cwd, env })
        assert.strictEqual((yield* neither.ended).code, 1)
        assert.include(neither.stderr(), "--client_id")
        const both = yield* nimbus(["client", "ada", "--client_id=ada"], { cwd, env })
        assert.strictEqual((yield* both.ended).code, 1)
        assert.include(both.stderr(), "either a client id to show, or --client_id of the client to be")
      }),
    patience_ms,
  )
})
