/** A log in use, which must go on whatever happens to Kafka, and lose and repeat nothing. */
import { assert } from "@effect/vitest"
import type { LogRecord } from "@nimbus/domain/protocol"
import type { EventLog } from "@nimbus/domain/services"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Schedule, type Scope, Stream } from "effect"

export interface Use {
  /** Publishing, reading, committing and asking all make progress from here on. */
  readonly goesOn: Effect.Effect<void, unknown>
  /** Publishes no more; what was published has been read once, in its order. */
  readonly finish: Effect.Effect<void, unknown>
}

/** Publishes to partition 0, which nobody else does, reads it alone and in a group, and asks; until the scope closes. */
export const startUse = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  topic: string,
): Effect.fn.Return<Use, never, Scope.Scope> {
  let [published, committed, asked, isDone] = [0, 0, 0, false]
  const tailed: Array<number> = []
  const publishing = yield* Effect.forkScoped(
    Effect.whileLoop({
      while: () => !isDone,
      body: () => Effect.andThen(log.publish(topic, 0, [record(published)]), Effect.sleep(1)),
      step: () => void published++,
    }),
  )
  yield* Effect.forkScoped(
    Stream.runForEach(log.tail(topic, 0, "earliest"), ({ records }) =>
      Effect.sync(() => tailed.push(...records.map(numberOf))),
    ),
  )
  yield* Effect.forkScoped(
    Stream.runForEach(log.subscribe(topic, `${topic}-g`), (assigned) =>
      assigned.read("committed").pipe(
        Stream.runForEach(({ next }) => Effect.tap(assigned.commit(next), () => Effect.sync(() => (committed = next)))),
        // Revoked: its next assignment goes on. Or Kafka is away, or not quite there: another read goes on.
        Effect.catchTag("PartitionRevoked", () => Effect.void),
        Effect.retry(Schedule.spaced(20)),
        Effect.forkScoped,
      ),
    ),
  )
  const ask = Effect.tap(log.end(topic, 0), () => Effect.sync(() => asked++))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.ignore(ask), Effect.sleep(10))))

  const goesOn = Effect.suspend(() => {
    const before = { published, tailed: tailed.length, committed, asked }
    return eventually(
      "publishing, reading, committing and asking go on",
      Effect.sync(
        () =>
          published > before.published + 100 &&
          tailed.length > before.tailed + 100 &&
          committed > before.committed + 100 &&
          asked > before.asked,
      ),
      60_000,
    )
  })
  const finish = Effect.gen(function* () {
    isDone = true
    yield* Fiber.join(publishing)
    yield* eventually(
      "everything is read",
      Effect.sync(() => tailed.length >= published),
    )
    assert.deepStrictEqual(
      tailed,
      Array.from({ length: published }, (_, n) => n),
    )
    assert.strictEqual(yield* log.end(topic, 0), published)
  })
  return { goesOn, finish }
})

/** Long enough for an answer with some of them to come in two halves. */
const record = (n: number): LogRecord => ({ key: "k", value: new TextEncoder().encode(String(n).padStart(100, "0")) })

const numberOf = ({ value }: LogRecord): number => Number(new TextDecoder().decode(value))
