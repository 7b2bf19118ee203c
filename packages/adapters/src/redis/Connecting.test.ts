import { createServer } from "node:net"
import { setImmediate as turn } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RedisConnection } from "./Connection.ts"
import { settingsOf } from "./Settings.ts"

/** A port that hangs up at once. */
const hangingUp = Effect.acquireRelease(
  Effect.callback<{ readonly address: string; readonly attempts: () => number; readonly close: () => void }>(
    (resume) => {
      let attempts = 0
      const server = createServer((socket) => {
        attempts++
        socket.on("error", () => {})
        socket.destroy()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        if (typeof address !== "object" || address === null) return assert.fail("no port")
        resume(
          Effect.succeed({
            address: `127.0.0.1:${address.port}`,
            attempts: () => attempts,
            close: () => void server.close(),
          }),
        )
      })
    },
  ),
  ({ close }) => Effect.sync(close),
)

describe("RedisConnection that waits for its server", () => {
  it.effect("keeps nothing of the attempts that have failed", () =>
    Effect.gen(function* () {
      const warnings: Array<Error> = []
      const warned = (warning: Error) => void warnings.push(warning)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("warning", warned)),
        () => Effect.sync(() => process.off("warning", warned)),
      )
      const { address, attempts } = yield* hangingUp
      const layer = RedisConnection.layerWith(settingsOf(address))
      const waiting = yield* Effect.forkScoped(Effect.asVoid(RedisConnection).pipe(Effect.provide(layer)))
      while (attempts() < 15) {
        yield* TestClock.adjust("1 minute")
        yield* Effect.promise(() => turn())
      }
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(warnings, [])
    }),
  )
})
