/** With a broker of its own, which is killed, stopped and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { EventLog, Topics } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import { layerWith } from "./EventLog.ts"
import { startUse } from "./testing/Use.ts"

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

        const { finish, goesOn } = yield* startUse(log, "t")
        yield* goesOn
        for (const step of ["kill", "stop"] as const) {
          yield* broker.tell(step)
          assert.strictEqual((yield* Effect.flip(log.end("t", 0)))._tag, "LogUnavailable")
          yield* broker.tell("start")
          yield* goesOn
        }
        yield* finish
      }).pipe(Effect.scoped),
    300_000,
  )
})
