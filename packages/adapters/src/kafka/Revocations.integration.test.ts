import { assert, describe, it } from "@effect/vitest"
import { EventLog, Revocations, RevocationsLog, Topics } from "@nimbus/domain/services"
import { eventually, revocationsSuite } from "@nimbus/domain/testing"
import { Context, Effect, Exit, Layer } from "effect"
import { inject } from "vitest"
import { layerWith } from "./EventLog.ts"
import { createTopics, setTopic, topicSettings } from "./testing/Operator.ts"

const brokers = inject("services").kafka?.brokers.split(",") ?? []
const run = Math.random().toString(36).slice(2, 8)

const namesOf = (name: string) => ({
  events: `${run}-${name}-events`,
  results: `${run}-${name}-results`,
  dlq: `${run}-${name}-dlq`,
  quarantine: `${run}-${name}-quarantine`,
  tasks: `${run}-${name}-tasks`,
  journey: `${run}-${name}-journey`,
  chats: `${run}-${name}-chats`,
  revocations: `${run}-${name}-revocations`,
  audit: `${run}-${name}-audit`,
})

/** One process, with connections of its own. */
const processOf = (name: string) =>
  RevocationsLog.layer.pipe(
    Layer.provideMerge(layerWith({ brokers, partitions: 3 })),
    Layer.provide(Layer.succeed(Topics, namesOf(name))),
    Layer.fresh,
  )

const start = (name: string) =>
  Effect.map(Layer.build(processOf(name)), (services) => Context.get(services, Revocations))

const block = (subject: string) => ({ _tag: "Block", issuer: "https://issuer.test", subject }) as const

describe.skipIf(brokers.length === 0)("Revocations on Kafka", () => {
  revocationsSuite("on Kafka", processOf("suite"))

  it.live("an order at one gateway is in force at another within 5 s, and at one that starts when both are gone", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const [a, b] = yield* Effect.all([start("two"), start("two")])
          const took_ms: Array<number> = []
          for (let i = 0; i < 20; i++) {
            yield* a.order(block(`s-${i}`))
            const stored = performance.now()
            yield* eventually(
              "the other has it",
              Effect.sync(() => b.list().length === i + 1),
              5_000,
            )
            took_ms.push(performance.now() - stored)
          }
          yield* Effect.logInfo(
            `from the answer until in force elsewhere, at most ${Math.max(...took_ms).toFixed(0)} ms`,
          )
          yield* b.order({ ...block("s-0"), _tag: "Unblock" })
        }),
      )
      const later = yield* start("two")
      assert.strictEqual(later.list().length, 19)
    }).pipe(Effect.scoped),
  )

  it.live("have a topic with one partition, whose beginning goes by its size alone", () =>
    Effect.gen(function* () {
      const { audit, revocations } = namesOf("topic")
      const log = Context.get(yield* Layer.build(processOf("topic")), EventLog)
      assert.strictEqual(log.facts(revocations).partitions, 1)
      const settings = yield* topicSettings(brokers, revocations)
      assert.propertyVal(settings, "cleanup.policy", "compact,delete")
      assert.propertyVal(settings, "retention.ms", "-1")
      assert.propertyVal(settings, "retention.bytes", `${512 * 1024 * 1024}`)
      assert.propertyVal(yield* topicSettings(brokers, audit), "retention.ms", `${90 * 24 * 60 * 60 * 1000}`)
    }).pipe(Effect.scoped),
  )

  it.live("do not start on a topic that would let in again who is blocked", () =>
    Effect.gen(function* () {
      const { revocations, ...others } = namesOf("unfit")
      yield* createTopics(brokers, [revocations])
      yield* createTopics(brokers, Object.values(others), {}, 3)
      const refusal = () => Effect.scoped(Effect.flip(start("unfit")))
      for (const [setting, value] of [
        ["retention.ms", "604800000"],
        ["retention.bytes", "1000000"],
      ] as const) {
        yield* setTopic(brokers, revocations, { "retention.ms": "-1", [setting]: value })
        // A broker takes a moment to follow.
        yield* eventually(
          `${setting} is told`,
          Effect.map(refusal(), ({ message }) => message.includes(`${revocations} has ${setting}=${value}`)),
        )
      }
      for (const policy of ["compact", "delete", "compact,delete"]) {
        yield* setTopic(brokers, revocations, {
          "cleanup.policy": policy,
          ...(policy === "compact" ? {} : { "retention.ms": "-1" }),
        })
        yield* eventually(`${policy} is taken`, Effect.map(Effect.exit(Effect.scoped(start("unfit"))), Exit.isSuccess))
      }
    }),
  )
})
