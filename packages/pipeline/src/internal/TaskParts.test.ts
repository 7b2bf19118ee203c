import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ClientId, type LogRecord, RunId, seqUnsafe } from "@nimbus/domain/protocol"
import { TaskParts, type TaskPartsOptions } from "./TaskParts.ts"
import type { TaskSender } from "./TaskWriter.ts"

/** Parts of a run, a clock, and a log that acknowledges when it is told to. */
const make = (options: Partial<TaskPartsOptions> = {}) => {
  const waiting: Array<{ readonly sender: TaskSender; readonly record: LogRecord }> = []
  const written: Array<Record<string, unknown>> = []
  let now_ms = 0
  const parts = new TaskParts({
    clientId: ClientId.make("ann"),
    task: seqUnsafe(7),
    run: RunId.make("w.1"),
    next: 0,
    combine: undefined,
    join_ms: 20,
    join_bytes: 64,
    buffer_parts: 8,
    buffer_bytes: 1_024,
    all_bytes: 4_096,
    most_bytes: 10_000,
    writer: {
      add: (sender, record) => {
        waiting.push({ sender, record })
        written.push(JSON.parse(new TextDecoder().decode(record.value)))
      },
      get bytes() {
        return waiting.reduce((sum, { record }) => sum + record.key.length + record.value.length, 0)
      },
      isIdle: false,
      failed: Effect.never,
    },
    now_ms: () => now_ms,
    onJoining: () => {},
    onSettled: () => {},
    onPart: () => {},
    ...options,
  })
  const acknowledge = (): void => {
    for (const { record, sender } of waiting.splice(0)) sender.settled(1, record.key.length + record.value.length)
    parts.look()
  }
  /** Time passes, as the joiner sees it. */
  const pass = (ms: number): void => {
    now_ms += ms
    if (parts.due_ms <= now_ms) parts.flush()
  }
  return { parts, written, acknowledge, pass }
}

const textsOf = (values: ReadonlyArray<unknown>) => values.map((value) => JSON.stringify(value))
/** What comes of a list of parts: some come together, and after each so many ms pass. */
const Arrivals = <S extends Schema.Codec<unknown, unknown>>(part: S) =>
  Schema.Array(Schema.Struct({ parts: Schema.NonEmptyArray(part), ms: Schema.Literals([0, 1, 7, 30]) }))

const sendAll = (
  combine: "strings" | "arrays",
  arrivals: ReadonlyArray<{ readonly parts: ReadonlyArray<unknown>; readonly ms: number }>,
) =>
  Effect.gen(function* () {
    const { parts, pass, written } = make({
      combine,
      buffer_parts: Infinity,
      buffer_bytes: Infinity,
      all_bytes: Infinity,
    })
    for (const { ms, parts: some } of arrivals) {
      yield* parts.offer(textsOf(some))
      pass(ms)
    }
    parts.end(undefined)
    const end = written.pop()
    assert.deepStrictEqual(end, { task: 7, do: "end", run: "w.1", part: written.length })
    assert.deepStrictEqual(
      written.map(({ part }) => part),
      written.map((_, i) => i),
    )
    return written.map(({ data }) => data)
  })

describe("TaskParts", () => {
  it.effect.prop(
    "are the same strings put together, however they come",
    { arrivals: Arrivals(Schema.String) },
    ({ arrivals }) =>
      Effect.gen(function* () {
        const said = yield* sendAll("strings", arrivals)
        assert.strictEqual(said.join(""), arrivals.flatMap(({ parts }) => parts).join(""))
      }),
  )

  it.effect.prop(
    "are the same arrays put together, however they come",
    { arrivals: Arrivals(Schema.Array(Schema.Union([Schema.Int, Schema.String, Schema.Array(Schema.Int)]))) },
    ({ arrivals }) =>
      Effect.gen(function* () {
        const said = yield* sendAll("arrays", arrivals)
        // Of numbers, JSON has no -0.
        const all = arrivals.flatMap(({ parts }) => parts).flat()
        assert.strictEqual(JSON.stringify(said.flat()), JSON.stringify(all))
      }),
  )

  it.effect("leave at once after a pause, then together, and when they are large enough", () =>
    Effect.gen(function* () {
      const { parts, pass, written } = make({ combine: "strings" })
      const said = () => written.map(({ data }) => data)
      yield* parts.offer(textsOf(["a"]))
      assert.deepStrictEqual(said(), ["a"])
      for (const word of ["b", "c"]) {
        pass(5)
        yield* parts.offer(textsOf([word]))
      }
      assert.deepStrictEqual(said(), ["a"])
      pass(10)
      assert.deepStrictEqual(said(), ["a", "bc"])
      yield* parts.offer(textsOf(["x".repeat(40), "y".repeat(40)]))
      assert.deepStrictEqual(said(), ["a", "bc", "x".repeat(40)])
      pass(20)
      assert.strictEqual(said().length, 4)
      pass(20)
      yield* parts.offer(textsOf(["d"]))
      assert.strictEqual(said().at(-1), "d")
    }),
  )

  it.effect("leave one by one where they are not joined, and those that are of another kind", () =>
    Effect.gen(function* () {
      const one = make()
      yield* one.parts.offer(textsOf(["a", "b", "c"]))
      assert.strictEqual(one.written.length, 3)
      const other = make({ combine: "strings" })
      yield* other.parts.offer(textsOf(["a", "b", 3, "c"]))
      other.parts.end(undefined)
      assert.deepStrictEqual(
        other.written.map(({ data }) => data),
        ["ab", 3, "c", undefined],
      )
    }),
  )

  it.effect("wait for the log beyond their buffer, and are refused where one is too large", () =>
    Effect.gen(function* () {
      const { acknowledge, parts, written } = make({ buffer_parts: 2 })
      const all = yield* Effect.forkChild(parts.offer(textsOf([1, 2, 3, 4, 5])), { startImmediately: true })
      assert.strictEqual(written.length, 2)
      acknowledge()
      yield* Effect.yieldNow
      assert.strictEqual(written.length, 4)
      acknowledge()
      yield* Effect.yieldNow
      assert.isDefined(all.pollUnsafe())
      const refused = yield* Effect.flip(parts.offer(textsOf(["x".repeat(20_000)])))
      assert.strictEqual(refused.code, "BAD_OUTPUT")
    }),
  )

  it.effect("of one task may always be one, whatever the others of the partition have", () =>
    Effect.gen(function* () {
      const { acknowledge, parts, written } = make({ all_bytes: 0 })
      const all = yield* Effect.forkChild(parts.offer(textsOf([1, 2])), { startImmediately: true })
      assert.deepStrictEqual([written.length, all.pollUnsafe()], [1, undefined])
      acknowledge()
      yield* Effect.yieldNow
      assert.strictEqual(written.length, 2)
    }),
  )
})
