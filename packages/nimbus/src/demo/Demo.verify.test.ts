import { appendFileSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { nimbus, temporaryDirectory } from "../testing/Processes.ts"

const row = (name: string, sent: number | string) =>
  new RegExp(String.raw`^${name} +(?:${sent}) +(\d+) +\1 +0 +0 +0$`, "m")

describe("nimbus demo", () => {
  it.live("ends with nothing lost, repeated or out of order, over a run that was killed and the next", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const killed = yield* nimbus(["demo", "--events=500"], { cwd })
      yield* killed.printed("waiting in the mailbox of bob")
      yield* killed.kill("SIGKILL")
      assert.strictEqual((yield* killed.ended).signal, "SIGKILL")
      const bob = join(cwd, "data/demo/clients/bob.journal")
      assert.include(readFileSync(bob, "utf8"), `"_tag":"Received"`)
      // What a crash in the middle of an append leaves.
      appendFileSync(bob, `{"_tag":"Saved","chan`)

      const second = yield* nimbus(["demo", "--events=50"], { cwd })
      const ended = yield* second.ended
      const printed = second.stdout()
      assert.deepStrictEqual(ended, { code: 0, signal: null }, printed + second.stderr())
      assert.strictEqual(second.stderr(), "")
      assert.include(printed, "Run 2, on what the last one has left")
      for (const status of [
        /bob: LIVE \(\d+ ms\) → OFFLINE/,
        /bob: OFFLINE \(\d+ ms\) → REPLAYING \(\d+ ms\) → LIVE/,
      ]) {
        assert.match(printed, status)
      }
      // 500 more than the second run sent alone: the table is of both.
      for (const name of ["alice", "bob", "carol"]) assert.match(printed, row(name, String.raw`\d\d\d`))
      assert.match(printed, row("messages to bob", String.raw`\d+`))
      assert.include(printed, "Over all 2 runs: 0 lost, 0 repeated, 0 out of order")
    }),
  )

  it.live("sees a result that was tampered with, and fails", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const first = yield* nimbus(["demo", "--events=10"], { cwd })
      assert.strictEqual((yield* first.ended).code, 0, first.stdout() + first.stderr())
      const alice = join(cwd, "data/demo/clients/alice.journal")
      const repeated = readFileSync(alice, "utf8")
        .split("\n")
        .findLast((line) => line.includes(`"_tag":"Received"`))
      appendFileSync(alice, `${repeated}\n`)
      const second = yield* nimbus(["demo", "--events=10"], { cwd })
      assert.strictEqual((yield* second.ended).code, 1)
      assert.match(second.stderr(), /^nimbus: the demo counted 0 lost, [1-9]\d* repeated, 0 out of order \(DEMO_FAILED/)
    }),
  )
})
