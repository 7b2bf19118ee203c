import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, type Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { forEachByKey } from "./ForEachByKey.ts"

/** `done`: an Exit already. Otherwise how many turns of the scheduler it takes; 0 finishes at once. */
const Item = Schema.Struct({
  key: Schema.Literals(["a", "b", "c", "d"]),
  turns: Schema.Union([Schema.Literal("done"), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))]),
})
type Item = typeof Item.Type
const items = Schema.Array(Item).check(Schema.isMaxLength(40))
const bound = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))

describe("forEachByKey", () => {
  it.effect.prop("answers in the order of the items", [items, bound], ([items, at_once]) =>
    Effect.gen(function* () {
      const { answers } = yield* observe(items, at_once)
      assert.deepStrictEqual(
        answers,
        items.map((_, i) => i),
      )
    }),
  )

  it.effect.prop(
    "starts the items of one key in order, each after the one before has ended",
    [items, bound],
    ([items, at_once]) =>
      Effect.gen(function* () {
        const { moments } = yield* observe(items, at_once)
        for (const key of new Set(items.map((item) => item.key))) {
          const own = moments.filter(({ index }) => items[index]!.key === key)
          const inTurn = items.flatMap((item, index) =>
            item.key === key
              ? [
                  { index, what: "start" },
                  { index, what: "end" },
                ]
              : [],
          )
          assert.deepStrictEqual(
            own.map(({ index, what }) => ({ index, what })),
            inTurn,
          )
        }
      }),
  )

  it.effect.prop("never has more under way than the bound", [items, bound], ([items, at_once]) =>
    Effect.gen(function* () {
      const { moments } = yield* observe(items, at_once)
      let running = 0
      for (const { what } of moments) {
        running += what === "start" ? 1 : -1
        assert.isAtMost(running, at_once)
      }
      assert.strictEqual(running, 0)
    }),
  )

  it.effect("has as many under way as the bound allows", () =>
    Effect.gen(function* () {
      const slow = ["a", "b", "c", "d"].map((key): Item => ({ key: key as Item["key"], turns: 4 }))
      const { moments } = yield* observe(slow, 3)
      assert.deepStrictEqual(
        moments.slice(0, 4).map(({ what }) => what),
        ["start", "start", "start", "end"],
      )
    }),
  )

  it.effect("starts no item inside of another that ends it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const log: Array<string> = []
      const run = (item: string): Effect.Effect<string> => {
        switch (item) {
          case "waits":
            return Effect.as(Deferred.await(gate), item)
          case "opens":
            return Effect.gen(function* () {
              yield* Deferred.succeed(gate, undefined)
              log.push("opens ends")
              return item
            })
          default:
            return Effect.sync(() => {
              log.push("next starts")
              return item
            })
        }
      }
      const key = (item: string) => (item === "waits" ? 1 : 2)
      yield* forEachByKey(["waits", "opens", "next"], { key, run, at_once: 8, timeout_ms: 1_000, onTimeout: run })
      assert.deepStrictEqual(log, ["opens ends", "next starts"])
    }),
  )

  it.effect("arms a timer only for what does not finish at once", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let timers = 0
      const counting: Clock.Clock = Object.assign(Object.create(clock), {
        sleep: (duration: Duration.Duration) => {
          timers++
          return clock.sleep(duration)
        },
      })
      yield* observe(
        [
          { key: "a", turns: "done" },
          { key: "b", turns: 0 },
          { key: "c", turns: 2 },
        ],
        8,
      ).pipe(Effect.provideService(Clock.Clock, counting))
      assert.strictEqual(timers, 1)
    }),
  )

  it.effect("interrupts what takes too long, answers in its place, and goes on with its key", () =>
    Effect.gen(function* () {
      const interrupted: Array<number> = []
      const fiber = yield* Effect.forkChild(
        forEachByKey([0, 1, 2], {
          key: (n) => n === 1,
          run: (n) =>
            n === 0
              ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(n)))
              : Effect.succeed(`${n} done`),
          at_once: 8,
          timeout_ms: 1_000,
          onTimeout: (n) => Effect.succeed(`${n} late`),
        }),
        { startImmediately: true },
      )
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(interrupted, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["0 late", "1 done", "2 done"])
      assert.deepStrictEqual(interrupted, [0])
    }),
  )

  it.effect("goes on with a key only when what cannot be interrupted has ended", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const fiber = yield* Effect.forkChild(
        forEachByKey(["slow", "next"], {
          key: () => "a",
          run: (item) =>
            item === "slow"
              ? Effect.uninterruptible(
                  Effect.map(Effect.sleep(5_000), () => {
                    log.push("slow ends")
                    return "done"
                  }),
                )
              : Effect.sync(() => {
                  log.push("next starts")
                  return "done"
                }),
          at_once: 1,
          timeout_ms: 1_000,
          onTimeout: () => Effect.succeed("late"),
        }),
        { startImmediately: true },
      )
      yield* TestClock.adjust(4_999)
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["late", "done"])
      assert.deepStrictEqual(log, ["slow ends", "next starts"])
    }),
  )

  it.effect("interrupted, it interrupts what is under way, waits for it, and starts nothing more", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const fiber = yield* Effect.forkChild(
        forEachByKey(["a", "b", "a", "c"], {
          key: (key) => key,
          run: (key) =>
            Effect.onInterrupt(
              Effect.andThen(
                Effect.sync(() => log.push(`${key} starts`)),
                Effect.never,
              ),
              () =>
                Effect.andThen(
                  Effect.yieldNow,
                  Effect.sync(() => log.push(`${key} stops`)),
                ),
            ),
          at_once: 2,
          timeout_ms: 1_000,
          onTimeout: () => Effect.void,
        }),
        { startImmediately: true },
      )
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["a starts", "b starts", "a stops", "b stops"])
    }),
  )

  it.effect("a defect ends the chunk, and what else is under way", () =>
    Effect.gen(function* () {
      let stopped = false
      const exit = yield* Effect.exit(
        forEachByKey(["never", "dies"], {
          key: (key) => key,
          run: (key) =>
            key === "dies"
              ? Effect.die("a defect")
              : Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (stopped = true))),
          at_once: 2,
          timeout_ms: 1_000,
          onTimeout: () => Effect.void,
        }),
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.isTrue(stopped)
    }),
  )
})

interface Moment {
  readonly index: number
  readonly what: "start" | "end"
}

/** Runs items that answer with their own index, and notes when each starts and ends. */
const observe = Effect.fnUntraced(function* (items: ReadonlyArray<Item>, at_once: number) {
  const moments: Array<Moment> = []
  const answers = yield* forEachByKey(
    items.map((item, index) => ({ ...item, index })),
    {
      key: (item) => item.key,
      run: ({ index, turns }) => {
        moments.push({ index, what: "start" })
        const end = () => {
          moments.push({ index, what: "end" })
          return index
        }
        if (turns === "done") return Exit.succeed(end())
        return Effect.gen(function* () {
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          return end()
        })
      },
      at_once,
      timeout_ms: 60_000,
      onTimeout: (item) => Effect.succeed(-1 - item.index),
    },
  )
  return { answers, moments }
})
