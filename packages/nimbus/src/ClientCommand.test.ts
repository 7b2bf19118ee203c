import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { freePort, nimbus, startServer, temporaryDirectory, withoutArchive } from "./testing/Processes.ts"

describe("nimbus client", () => {
  it.live("prints the result of each event, and a summary", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const port = yield* freePort
      yield* startServer({ cwd, env: { ...withoutArchive, NIMBUS_HTTP_PORT: `${port}` } })
      const run = (...more: ReadonlyArray<string>) =>
        nimbus(["client", "--client_id=c1", `--addr=ws://127.0.0.1:${port}`, ...more], { cwd })
      const client = yield* run("--start=1", "--end=10", "--memory=mine")
      assert.deepStrictEqual(yield* client.ended, { code: 0, signal: null }, client.stderr())
      assert.strictEqual(client.stderr(), "")
      const lines = client.stdout().split("\n")
      assert.deepStrictEqual(
        lines.slice(0, 10).map((line) => line.split(", seq")[0]),
        Array.from({ length: 10 }, (_, i) => `sq(${i + 1}): {"number":${i + 1},"result":${(i + 1) ** 2}}`),
      )
      for (const row of [
        /^client c1$/m,
        /^ +sent +10$/m,
        /^ +accepted +10$/m,
        /^ +received +10$/m,
        /^ +missing +0$/m,
      ]) {
        assert.match(client.stdout(), row)
      }

      // With its memory it goes on after what it has; numbers beyond what can be squared are errors, and counted.
      const again = yield* run("--start=94906265", "--end=94906266", "--memory=mine")
      assert.strictEqual((yield* again.ended).code, 0, again.stderr())
      assert.match(again.stdout(), /^sq\(94906265\): \{"number":94906265,"result":9007199136250225\}, seq/)
      assert.match(again.stdout(), /^sq\(94906266\): error BAD_INPUT: /m)
      assert.match(again.stdout(), /^ +of them errors +1$/m)
      assert.notInclude(again.stdout(), "not of this run")
    }),
  )

  it.live("says in one line that nothing answers there", () =>
    Effect.gen(function* () {
      const addr = `ws://127.0.0.1:${yield* freePort}`
      const client = yield* nimbus(["client", "--client_id=c1", `--addr=${addr}`], { cwd: yield* temporaryDirectory })
      assert.strictEqual((yield* client.ended).code, 1)
      assert.strictEqual(client.stdout(), "")
      assert.strictEqual(
        client.stderr(),
        `nimbus: no gateway answered at ${addr} within 8000 ms; start one, or name another address by --addr (NO_GATEWAY, see docs/errors.md)\n`,
      )
    }),
  )

  it.live.each([
    [["client", "--client_id=c1", "--start=5", "--end=3"], "--start=5 is above --end=3"],
    [["client", "--client_id=c1", "--timeout_sec=0"], "--timeout_sec=0 leaves no time"],
    [["grpc-client", "--client_id=c1", "--start=5", "--end=3"], "--start=5 is above --end=3"],
  ] as const)("says in one line what is wrong with %j", ([args, fault]) =>
    Effect.gen(function* () {
      const client = yield* nimbus(args, { cwd: yield* temporaryDirectory })
      assert.strictEqual((yield* client.ended).code, 1)
      assert.strictEqual(client.stdout(), "")
      assert.match(client.stderr(), /^nimbus: [^\n]*\(BAD_REQUEST, see docs\/errors\.md\)\n$/)
      assert.include(client.stderr(), fault)
    }),
  )

  it.live("says in one line that the client id is none", () =>
    Effect.gen(function* () {
      const client = yield* nimbus(["client", "--client_id=a b"], { cwd: yield* temporaryDirectory })
      assert.strictEqual((yield* client.ended).code, 1)
      assert.match(client.stderr(), /^nimbus: clientId: .*\(BAD_REQUEST, see docs\/errors\.md\)\n$/)
    }),
  )
})
