import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { place } from "../testing/GrpcPlace.ts"
import { startServer } from "../testing/Processes.ts"

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

  it.live("says in one line why a call can't go on, and how many answers are missing in the end", () =>
    Effect.gen(function* () {
      const { client, server } = yield* place
      const nobody = yield* client("--client_id=c1", "--timeout_sec=1")
      assert.strictEqual((yield* nobody.ended).code, 1)
      const lines = nobody.stderr().trimEnd().split("\n")
      assert.match(
        lines[0] ?? "",
        /^nimbus: the call ended with Unavailable: .*; it is made again; .* --addr=https:\/\/.*$/,
      )
      assert.deepStrictEqual(lines.slice(1), ["nimbus: 10 answers are missing (ANSWERS_MISSING, see docs/errors.md)"])
      yield* startServer(server)
      const illegal = yield* client("--client_id=a b")
      assert.strictEqual((yield* illegal.ended).code, 1)
      assert.match(illegal.stderr(), /^nimbus: the call ended with InvalidArgument: BAD_REQUEST: .*CALL_FAILED.*\n$/)
    }),
  )
})
