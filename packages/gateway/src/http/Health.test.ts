/** What `/readyz` of a gateway says beside what is missing. */
import { assert, describe, it } from "@effect/vitest"
import { Alarms, makeAlarms } from "@nimbus/domain/services"
import { Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { Gateway } from "../index.ts"
import * as MemoryParts from "../testing/MemoryParts.ts"

describe("/readyz", () => {
  it.live("names the alarms that keep it from serving, which make it not ready, and the others as warnings", () => {
    const alarms = makeAlarms({ alarm_again_ms: 60_000 })
    const gateway = Gateway.layerWith({ host: "127.0.0.1", port: 0 }).pipe(
      Layer.provideMerge(MemoryParts.layer),
      Layer.provide(Layer.succeed(Alarms, alarms)),
    )
    return Effect.gen(function* () {
      const url = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
      const readyz = Effect.promise(async () => {
        const response = await fetch(`${url}/readyz`)
        return `${response.status} ${await response.text()}`
      })
      yield* alarms.raise("tea", { code: "TEA", message: "the tea is cold" }, { blocks: false })
      assert.strictEqual(yield* readyz, "200 ready\nwarning: the tea is cold\n")
      yield* alarms.raise("stove", { code: "STOVE", message: "the stove burns" }, { blocks: true })
      assert.strictEqual(yield* readyz, "503 not ready: the stove burns\nwarning: the tea is cold\n")
    }).pipe(Effect.provide(gateway, { local: true }), Effect.scoped)
  })
})
