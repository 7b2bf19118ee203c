/** The same id twice, on Kafka and Redis: whatever pipeline reads it, no handler runs again, and nobody sees two answers. */
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, inject, it } from "@effect/vitest"
import { eventually } from "@nimbus/domain/testing"
import { Effect } from "effect"
import { clusterOfItsOwn } from "./testing/Cluster.ts"
import { freePort, startMember, temporaryDirectory } from "./testing/Processes.ts"
import { connect } from "./testing/RawClient.ts"

const { kafka, redis } = inject("services")

/** Each run writes the id of its event. */
const handlers = `
  import { appendFileSync } from "node:fs"
  import { Handlers } from "@nimbus/domain"
  import { Effect, Schema } from "effect"
  const handler = (item: string, { eventId }: { readonly eventId: string }) =>
    Effect.sync(() => {
      appendFileSync("runs", eventId + "\\n")
      return item
    })
  export default [Handlers.make("order", { input: Schema.String, output: Schema.String, handler })]`

describe.skipIf(kafka === undefined || redis === undefined)("an id that its client uses again", () => {
  it.live("is a repeat also for the pipelines that follow the one that handled it", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(cwd, "node_modules"))
      writeFileSync(join(cwd, "handlers.ts"), handlers)
      const env = { ...clusterOfItsOwn("repeats"), NIMBUS_HANDLERS: "handlers.ts" }
      const [port, http] = [yield* freePort, yield* freePort]
      yield* startMember("gateway", port, { cwd, env })
      const client = yield* connect(port, "clientId=c1")
      const send = (id: string, data: string) => client.send({ type: "event", id, name: "order", data })
      const seen = (id: string) => client.results().filter((item) => item.id === id)
      const cameTo = (id: string, items: number) =>
        eventually(
          `${items} items of ${id}`,
          Effect.sync(() => seen(id).length === items),
          60_000,
        )
      const one = yield* startMember("pipeline", http, { cwd, env })
      send("e1", "tea")
      send("e1", "tea")
      yield* cameTo("e1", 2)
      // It commits before it ends: what it has handled is handled by nobody else.
      yield* one.kill("SIGTERM")
      yield* one.ended
      send("e1", "tea")
      const two = yield* startMember("pipeline", http, { cwd, env })
      yield* cameTo("e1", 3)
      yield* two.kill("SIGKILL")
      yield* two.ended
      send("e2", "milk")
      send("e1", "tea")
      send("e2", "milk")
      yield* startMember("pipeline", http, { cwd, env })
      yield* cameTo("e2", 2)
      yield* cameTo("e1", 4)
      const { seq } = seen("e1")[0] ?? assert.fail("no answer")
      assert.deepStrictEqual(
        seen("e1").map(({ data, repeated }) => [data, repeated]),
        [["tea", undefined], ...[1, 2, 3].map(() => [null, seq])],
      )
      assert.deepStrictEqual(
        seen("e2").map(({ data, repeated }) => [data, repeated]),
        [
          ["milk", undefined],
          [null, seen("e2")[0]?.seq],
        ],
      )
      assert.isTrue(existsSync(join(cwd, "runs")))
      assert.deepStrictEqual(readFileSync(join(cwd, "runs"), "utf8").trim().split("\n"), ["e1", "e2"])
    }),
  )
})
