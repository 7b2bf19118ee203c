import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { place } from "../testing/GrpcPlace.ts"
import { startServer } from "../testing/Processes.ts"

describe("nimbus grpc-client", () => {
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
})
