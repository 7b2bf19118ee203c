/** With a broker of its own, which is killed, stopped and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { EventLog, type LogRecord, Topics } from "@nimbus/domain"
import { eventually } from "@nimbus/domain/testing"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { inject } from "vitest"
import { layerWith } from "./EventLog.ts"

const { kafka } = inject("services")
const services = fileURLToPath(new URL("../../../../scripts/services/main.ts", import.meta.url))

/** Until the scope closes. */
const startBroker = Effect.acquireRelease(
  Effect.promise(async () => {
    const child = spawn(process.execPath, [services, "--with", "kafka"], { stdio: ["pipe", "pipe", "inherit"] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async (): Promise<string> => (await lines.next()).value ?? ""
    let address = ""
    for (let line = await next(); line !== ""; line = await next()) {
      if (line.startsWith("NIMBUS_KAFKA_BROKERS=")) address = line.slice("NIMBUS_KAFKA_BROKERS=".length)
    }
    const tell = (step: "kill" | "stop" | "start") =>
      Effect.promise(async () => {
        child.stdin.write(`${step} kafka\n`)
        assert.strictEqual(await next(), "ok")
      })
    return { address, tell, child }
  }),
  ({ child }) => Effect.promise(() => end(child)),
)

const end = (child: ChildProcess): Promise<unknown> => {
  const ended = new Promise((resolve) => child.once("exit", resolve))
  child.stdin?.end()
  return ended
}

const record = (n: number): LogRecord => ({ key: "k", value: new TextEncoder().encode(String(n)) })

describe.skipIf(kafka === undefined)("a broker that goes away and comes back", () => {
  it.live(
    "costs no record and repeats none: publishing, reading and committing go on by themselves",
    () =>
      Effect.gen(function* () {
        const broker = yield* startBroker
        const log = yield* Effect.map(
          Layer.build(
            layerWith({
              brokers: [broker.address],
              topics: ["t"],
              partitions: 2,
              limits: { question_timeout_ms: 500, session_timeout_ms: 2_000, heartbeat_ms: 200 },
            }).pipe(Layer.provide(Topics.layerDefault)),
          ),
          (context) => EventLog.pipe(Effect.provide(context)),
        ).pipe(Effect.flatten)

        let published = 0
        let isDone = false
        const publishing = yield* Effect.forkScoped(
          Effect.whileLoop({
            while: () => !isDone,
            body: () => Effect.andThen(log.publish("t", 0, [record(published)]), Effect.sleep(1)),
            step: () => void published++,
          }),
        )
        const tailed: Array<string> = []
        yield* Stream.runForEach(log.tail("t", 0, "earliest"), (chunk) =>
          Effect.sync(() => {
            for (const { value } of chunk.records) tailed.push(new TextDecoder().decode(value))
          }),
        ).pipe(Effect.forkScoped)
        let committed = 0
        yield* Stream.runForEach(log.subscribe("t", "g"), (assigned) =>
          assigned.read("committed").pipe(
            Stream.runForEach(({ next }) =>
              Effect.tap(assigned.commit(next), () => Effect.sync(() => (committed = next))),
            ),
            // Revoked: its next assignment goes on. Or Kafka is away, or not quite there: another read goes on.
            Effect.catchTag("PartitionRevoked", () => Effect.void),
            Effect.retry(Schedule.spaced(100)),
            Effect.forkScoped,
          ),
        ).pipe(Effect.forkScoped)
        const goesOn = (after: number) =>
          eventually(
            "publishing, reading and committing go on",
            Effect.sync(() => published > after && tailed.length > after && committed > after),
            60_000,
          )

        yield* goesOn(100)
        for (const step of ["kill", "stop"] as const) {
          yield* broker.tell(step)
          assert.strictEqual((yield* Effect.flip(log.end("t", 0)))._tag, "LogUnavailable")
          yield* broker.tell("start")
          yield* goesOn(published + 100)
        }
        isDone = true
        yield* Fiber.join(publishing)
        yield* eventually(
          "everything is read",
          Effect.sync(() => tailed.length >= published),
        )
        assert.deepStrictEqual(
          tailed,
          Array.from({ length: published }, (_, n) => String(n)),
        )
        assert.strictEqual(yield* log.end("t", 0), published)
      }).pipe(Effect.scoped),
    300_000,
  )
})
