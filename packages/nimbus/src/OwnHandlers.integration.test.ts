/** Pipelines of a cluster with a handler and a task of one's own: from a program, and from a module. */
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, inject, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"
import { connect } from "./testing/RawClient.ts"

const { kafka, redis } = inject("services")

const handlers = `
  import { Handlers } from "@nimbus/domain"
  import { Effect, Schema, Stream } from "effect"
  const handler = (item: string) => Effect.succeed(\`a receipt for \${item}\`)
  const story = (hero: string) => Stream.make("once upon a time ", hero)
  export default [
    Handlers.make("order", { input: Schema.String, output: Schema.String, handler }),
    Handlers.task("tell", { input: Schema.String, part: Schema.String, handler: story }),
  ]`

describe.skipIf(kafka === undefined || redis === undefined)("a pipeline with handlers of one's own", () => {
  it.live.each([
    { what: "that is a program of its own", program: "ownPipeline", settings: {} },
    { what: "that NIMBUS_HANDLERS names", program: "pipeline", settings: { NIMBUS_HANDLERS: "handlers.ts" } },
  ] as const)("$what runs them, answers operators, and leaves when it is told to", ({ program, settings }) =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(cwd, "node_modules"))
      writeFileSync(join(cwd, "handlers.ts"), handlers)
      const env = { ...clusterOfItsOwn("own"), ...settings }
      const port = yield* freePort
      const http = yield* freePort
      const pipeline = yield* startMember(program, http, { cwd, env })
      yield* startMember("gateway", port, { cwd, env })
      const client = yield* connect(port, "clientId=c1")
      client.send({ type: "event", id: "e1", name: "order", data: "tea" })
      client.send({ type: "event", id: "e2", name: "tell", data: "Ada" })
      const items = () => client.results()
      yield* eventually(
        "the result, and the end of the task",
        Effect.sync(() => items().some(({ id }) => id === "e1") && items().some(({ end }) => end !== undefined)),
        60_000,
      )
      const receipt = items().find(({ id }) => id === "e1")
      assert.deepInclude(receipt, { name: "order", data: "a receipt for tea" })
      const told = items().filter(({ of }) => of === "e2")
      assert.deepStrictEqual(
        told.map(({ data, end, part }) => [part, data, end]),
        [
          [0, "once upon a time ", undefined],
          [1, "Ada", undefined],
          [2, null, "done"],
        ],
      )
      const metrics = yield* Effect.promise(() => fetch(`http://127.0.0.1:${http}/metrics`).then((all) => all.text()))
      assert.include(metrics, "nimbus_pipeline_records_in_total")
      yield* pipeline.kill("SIGTERM")
      assert.deepStrictEqual(yield* pipeline.ended, { code: 0, signal: null })
    }),
  )
})
