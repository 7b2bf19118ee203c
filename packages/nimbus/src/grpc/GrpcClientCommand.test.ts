import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { freePort, nimbus, startServer, temporaryDirectory } from "../testing/Processes.ts"

const place = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  const port = yield* freePort
  const env = { NIMBUS_HTTP_PORT: `${yield* freePort}`, NIMBUS_PORT: `${port}`, NIMBUS_STORAGE: "none" }
  const client = (...args: ReadonlyArray<string>) =>
    nimbus(["grpc-client", `--addr=127.0.0.1:${port}`, ...args], { cwd })
  return { server: { cwd, env }, client }
})

describe("nimbus grpc-client", () => {
  it.live("squares a range of numbers, and counts", () =>
    Effect.gen(function* () {
      const { client, server } = yield* place
      yield* startServer(server)
      const run = yield* client("--client_id=c1", "--start=46339", "--end=46341")
      assert.deepStrictEqual(yield* run.ended, { code: 0, signal: null }, run.stderr())
      const lines = run.stdout().trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((line) => line.replace(/, seq \d+$/, "")),
        [
          "sq(46339) = 2147302921",
          "sq(46340) = 2147395600",
          "sq(46341) = error NOT_INT32: result is 2147488281, which is no int32 as this contract has it; data_json has it",
          "client c1: 3 sent, 3 answered, 1 of them errors, 0 repeats dropped",
        ],
      )
    }),
  )

  it.live("waits for its gateway while that is killed and comes again, and shows each answer once and in order", () =>
    Effect.gen(function* () {
      const { client, server } = yield* place
      const first = yield* startServer(server)
      const run = yield* client("--client_id=c1", "--start=1", "--end=20000", "--timeout_sec=110")
      yield* eventually(
        "some answers",
        Effect.sync(() => run.stdout().split("\n").length > 100),
      )
      yield* first.kill("SIGKILL")
      yield* first.ended
      yield* startServer(server)
      assert.deepStrictEqual(yield* run.ended, { code: 0, signal: null }, run.stderr())
      const shown = Array.from(run.stdout().matchAll(/^sq\((\d+)\) = (\d+), seq/gm), ([, number, result]) => {
        assert.strictEqual(Number(number) ** 2, Number(result))
        return Number(number)
      })
      assert.deepStrictEqual(
        shown,
        Array.from({ length: 20_000 }, (_, i) => i + 1),
      )
    }),
  )

  it.live("says in one line why a call can't go on, and how many answers are missing in the end", () =>
    Effect.gen(function* () {
      const { client, server } = yield* place
      const nobody = yield* client("--client_id=c1", "--timeout_sec=1")
      assert.strictEqual((yield* nobody.ended).code, 1)
      assert.match(nobody.stderr(), /^nimbus: 10 answers are missing \(ANSWERS_MISSING, see docs\/errors.md\)\n$/)
      yield* startServer(server)
      const illegal = yield* client("--client_id=a b")
      assert.strictEqual((yield* illegal.ended).code, 1)
      assert.match(illegal.stderr(), /^nimbus: the call ended with InvalidArgument: BAD_REQUEST: .*CALL_FAILED.*\n$/)
    }),
  )
})
