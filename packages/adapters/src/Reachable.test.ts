import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { untilReachable } from "./Reachable.ts"

class Away extends Error {}
class Wrong extends Error {}

/** What is logged while it fails so often, by an address. */
const linesOf = (at: string, failures: number) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    let attempts = 0
    const attempt = Effect.suspend(() => (attempts++ < failures ? Effect.fail(new Away("refused")) : Effect.void))
    const waiting = yield* untilReachable({ name: "Redis", at, service: "redis" }, attempt, () => true).pipe(
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
      Effect.forkChild,
    )
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(waiting)
    assert.strictEqual(attempts, failures + 1)
    return lines
  })

describe("untilReachable", () => {
  it.effect("tells when it begins to wait, once a minute while it does, and when it has ended", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf("redis.example:6379", 40), [
        "waiting for Redis at redis.example:6379: refused",
        "waiting for Redis at redis.example:6379, for 61.3 s now: refused",
        "waiting for Redis at redis.example:6379, for 121.3 s now: refused",
        "Redis at redis.example:6379 is there, after 176.3 s",
      ])
    }),
  )

  it.effect("tells nothing where nothing fails", () =>
    Effect.map(linesOf("127.0.0.1:6379", 0), (lines) => assert.deepStrictEqual(lines, [])),
  )

  it.effect.each([
    "127.0.0.1:6379",
    "localhost:6379,b:6379",
    "[::1]:6379",
    "http://127.0.0.1:8000",
    "a@localhost:1/db",
  ])("tells how to start it where it should be on this machine: %s", (at) =>
    Effect.map(linesOf(at, 1), ([line]) =>
      assert.strictEqual(
        line,
        `waiting for Redis at ${at}: refused; to start it here: docker compose up --detach redis`,
      ),
    ),
  )

  it.effect("fails at once with what does not pass", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        untilReachable(
          { name: "Redis", at: "a:1", service: "redis" },
          Effect.fail<Away | Wrong>(new Wrong("no")),
          (error) => error instanceof Away,
        ),
      )
      assert.instanceOf(error, Wrong)
    }),
  )
})
