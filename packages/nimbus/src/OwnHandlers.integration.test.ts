/** Pipelines of a cluster with handlers of one's own: from a program, and from a module. */
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
  import { Effect, Schema } from "effect"
  const handler = (item: string) => Effect.succeed(\`a receipt for \${item}\`)
  export default [Handlers.make("order", { input: Schema.String, output: Schema.String, handler })]`

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
      yield* eventually(
        "the result",
        Effect.sync(() => client.results().length > 0),
        60_000,
      )
      assert.deepInclude(client.results()[0], { name: "order", data: "a receipt for tea" })
      const metrics = yield* Effect.promise(() => fetch(`http://127.0.0.1:${http}/metrics`).then((all) => all.text()))
      assert.include(metrics, "nimbus_pipeline_records_in_total")
      yield* pipeline.kill("SIGTERM")
      assert.deepStrictEqual(yield* pipeline.ended, { code: 0, signal: null })
    }),
  )
})
