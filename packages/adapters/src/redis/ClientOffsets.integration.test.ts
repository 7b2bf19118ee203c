import { assert, describe, layer } from "@effect/vitest"
import { ClientId, Cursor, Epoch, Incarnation } from "@nimbus/domain/protocol"
import { ClientOffsets } from "@nimbus/domain/services"
import { clientOffsetsSuite } from "@nimbus/domain/testing"
import { Effect, Layer } from "effect"
import { inject } from "vitest"
import * as RedisClientOffsets from "./ClientOffsets.ts"
import { RedisConnection } from "./Connection.ts"
import * as Reply from "./Reply.ts"
import { settingsOf } from "./Settings.ts"

const { redis } = inject("services")
const offsetsIn = (prefix: string) =>
  RedisClientOffsets.layer.pipe(
    Layer.provideMerge(RedisConnection.layerWith({ ...settingsOf(redis?.address ?? ""), prefix })),
  )

describe.skipIf(redis === undefined)("RedisClientOffsets", () => {
  clientOffsetsSuite("in Redis", offsetsIn("offsets"))

  layer(offsetsIn("offsets"), { excludeTestServices: true })("beyond the suite", (it) => {
    it.effect("keeps a client under its own key, and not for ever", () =>
      Effect.gen(function* () {
        const { save } = yield* ClientOffsets
        const owner = { clientId: ClientId.make("c1"), epoch: Epoch.make(1), log: Incarnation.make("l") }
        yield* save([{ ...owner, offset: 12, seq: Cursor.make(7) }])
        const { command } = yield* RedisConnection
        assert.strictEqual(yield* command("hget", ["offsets:offset:c1", "offset"], Reply.text), "12")
        assert.isAbove(yield* command("pttl", ["offsets:offset:c1"], Reply.integer), 0)
      }),
    )
  })
})
