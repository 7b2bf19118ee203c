/**
 * A client that acknowledges nothing is killed again and again while 20,000 results are replayed to it, each time in the
 * middle of them, and goes on with the next life. Whatever it saw again, it must never have missed one.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Dice } from "@nimbus/domain/testing/dice"
import { GrpcClient } from "@nimbus/gateway/testing"
import { Effect } from "effect"
import type { Place } from "./TransportClients.ts"
import { temporaryDirectory } from "./Processes.ts"
import { oneTo } from "./Squares.ts"

export const transports = ["grpc", "ws"] as const
const results = 20_000
const kills = 10
/** For a process to start, and to read it all, on a machine that is busy with others. */
const patience_ms = 90_000

const program = fileURLToPath(new URL("../../../gateway/src/testing/Reader.ts", import.meta.url))

/** `next`: the gateway that a life connects to. */
export const tellOfKills = Effect.fnUntraced(function* (
  transport: (typeof transports)[number],
  next: () => Place,
  seed: number,
) {
  const clientId = `killed-${transport}`
  const dice = new Dice(seed)
  const file = join(yield* temporaryDirectory, "seen")
  /** What all lives have seen, in order; of a last line only what was written whole. */
  const seen = (): ReadonlyArray<number> =>
    existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1).map(Number) : []
  const live = (until: () => boolean) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { grpc, http } = next()
        const port = `${transport === "grpc" ? grpc : http}`
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => spawn(process.execPath, [program, transport, port, clientId, file], { stdio: "inherit" })),
          (child) => Effect.promise(async () => void (child.kill("SIGKILL") && (await once(child, "exit")))),
        )
        yield* eventually(`the reader of ${transport} has come so far`, Effect.sync(until), patience_ms)
        assert.isNull(child.exitCode)
      }),
    )

  yield* leave(next(), clientId)
  const lives: Array<number> = []
  for (let kill = 0; kill < kills; kill++) {
    lives.push(seen().length)
    // A few times to near the end, where the most is held back.
    const more = 1 + dice.below(kill % 3 === 2 ? results : 4_000)
    const enough = seen().length + more
    yield* live(() => seen().length >= enough || seen().at(-1) === results)
  }
  lives.push(seen().length)
  yield* live(() => seen().slice(lives.at(-1)).at(-1) === results)

  const all = seen()
  assert.deepStrictEqual(
    [...new Set(all)].sort((a, b) => a - b),
    oneTo(results),
    `seed ${seed}`,
  )
  // What was read long ago does not come again: without this, a gateway that acknowledges nothing would do.
  assert.isAbove(Math.max(...lives.map((from) => all[from] ?? 1)), 1, `seed ${seed}`)
  for (const [i, from] of lives.entries()) {
    const life = all.slice(from, lives[i + 1])
    const first = life[0] ?? 1
    // It goes on without a gap where any life before it has come to, or earlier.
    assert.isAtMost(first, Math.max(0, ...all.slice(0, from)) + 1, `seed ${seed}, life ${i}`)
    assert.deepStrictEqual(
      life,
      oneTo(life.length).map((n) => first + n - 1),
    )
  }
})

/** Sends everything, and is gone before it has seen any of it. */
const leave = ({ grpc: port }: Place, clientId: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* GrpcClient.connect({
        port,
        metadata: { client_id: clientId, ack: "client", notices: "true" },
      })
      client.square(...oneTo(results))
      const accepted = () => client.responses.reduce((sum, { accepted }) => sum + accepted.length, 0)
      yield* eventually(
        "all are accepted",
        Effect.sync(() => accepted() === results),
        patience_ms,
      )
    }),
  )
